from __future__ import annotations

import base64
import json

import pytest
from sandbox_api import Api, result_of, small_company

from kafinea_sandbox import Sandbox

CONTENT = b"Hello \x00\x01 bytes \xc3\xa9" * 50
NOT_FOUND = "RECORD_NOT_FOUND"


def upload(api: Api, module: str, part: str, **element: str) -> dict:
    element = {"assigned_user_id": "19x1"} | element
    fields = {
        "elementType": (None, module),
        "element": (None, json.dumps(element)),
        part: ("réport final.pdf", CONTENT, "application/pdf"),
    }
    return result_of(api.post("create", files=fields))


def test_folders(api: Api):
    assert api.query("SELECT * FROM DocumentFolders;") == [
        {"id": "22x1", "foldername": "Default", "description": "", "createdby": "", "sequence": "1"}
    ]


def test_a_document_without_a_file_is_pure_metadata(api: Api):
    details = {"filename": "test.pdf", "filetype": "application/pdf", "filesize": "850"}
    created = api.create(
        "Documents",
        notes_title="TitreDoc é",
        folderid="22x1",
        filestatus="1",
        filelocationtype="I",
        **details,
    )
    assert {name: created[name] for name in details} == details
    assert created["label"] == "TitreDoc &eacute;"
    assert "imageattachmentids" not in created


def test_folders_of_documents(api: Api):
    assert api.create("Documents", notes_title="Minimal")["folderid"] == "22x1"
    assert api.create("Documents", notes_title="Orphan", folderid="22x99")["folderid"] == ""
    error = api.create_error("Documents", notes_title="Bad", folderid="12x1")
    assert error[0] == "REFERENCE_INVALID"


def test_stock_takes_the_file_as_a_part_of_create(api: Api):
    created = upload(api, "Documents", "filename", notes_title="WithFile", filename="x.txt")
    names = ("filename", "filetype", "filesize")
    assert [created[name] for name in names] == ["réport_final.pdf", "application/pdf", "850"]
    file = created["imageattachmentids"]
    assert file.startswith("15x")
    assert file != created["id"]
    row = api.query(f"SELECT * FROM Documents WHERE id = '{created['id']}';")[0]
    assert list(row)[-2:] == ["id", "imageattachmentids"]
    assert api.ok("files_retrieve", id=file) == [
        {
            "fileid": file.partition("x")[2],
            "filename": "réport_final.pdf",
            "filetype": "application/pdf",
            "filesize": 850,
            "filecontents": base64.b64encode(CONTENT).decode(),
        }
    ]


def test_the_prefix_of_a_file_is_that_of_its_module(api: Api):
    created = upload(api, "Contacts", "imagename[]", lastname="Face")
    assert created["imageattachmentids"].startswith("12x")
    assert api.ok("files_retrieve", id=created["imageattachmentids"])[0]["filesize"] == 850


@pytest.mark.parametrize("wire_id", ["15x5", "15x999", "12x6", ""])
def test_files_that_are_none(api: Api, wire_id: str):
    assert api.error("files_retrieve", id=wire_id)[0] == NOT_FOUND


def test_the_file_is_not_described(api: Api):
    fields = api.ok("describe", elementType="Documents")["fields"]
    assert "imageattachmentids" not in {field["name"] for field in fields}
    rows = api.query("SELECT * FROM Documents WHERE id = '15x5';")
    assert rows[0]["imageattachmentids"] == "15x6"
    assert api.query("SELECT notes_title FROM Documents WHERE id = '15x5';") == [
        {"notes_title": "Deed", "id": "15x5"}
    ]


def test_kafinea_uploads_with_an_operation_of_its_own():
    with Sandbox(company=small_company()) as sandbox:
        api = Api(sandbox)
        document = api.create("Documents", notes_title="WithFile")
        answer = api.ok_post(
            "FileUpload",
            parentId=document["id"],
            attachmentType="Attachment",
            fileName="plan é.pdf",
            fileContents=base64.b64encode(CONTENT).decode(),
        )
        assert answer == {"message": "successfull"}
        read = api.ok("retrieve", id=document["id"])
        assert (read["filename"], read["filesize"]) == ("plan_é.pdf", "850")
        file = api.ok("files_retrieve", id=read["imageattachmentids"])[0]
        assert base64.b64decode(file["filecontents"]) == CONTENT
        assert file["filetype"] == "application/pdf"
