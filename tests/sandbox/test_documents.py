from __future__ import annotations

import base64

import pytest
from sandbox_api import Api, small_company

from kafinea_sandbox import Sandbox

CONTENT = b"Hello \x00\x01 bytes \xc3\xa9" * 50
NOT_FOUND = "RECORD_NOT_FOUND"


def test_document_folders_can_be_queried(api: Api):
    assert api.query("SELECT * FROM DocumentFolders;") == [
        {"id": "22x1", "foldername": "Default", "description": "", "createdby": "", "sequence": "1"}
    ]


def test_document_without_a_file_keeps_its_metadata(api: Api):
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


def test_document_folder_is_a_reference(api: Api):
    assert api.create("Documents", notes_title="Minimal")["folderid"] == "22x1"
    assert api.create("Documents", notes_title="Orphan", folderid="22x99")["folderid"] == ""
    error = api.create_error("Documents", notes_title="Bad", folderid="12x1")
    assert error[0] == "REFERENCE_INVALID"


@pytest.mark.parametrize("wire_id", ["15x5", "15x999", "12x6", ""])
def test_files_retrieve_of_no_file(api: Api, wire_id: str):
    assert api.error("files_retrieve", id=wire_id)[0] == NOT_FOUND


def test_file_id_is_not_described(api: Api):
    fields = api.ok("describe", elementType="Documents")["fields"]
    assert "imageattachmentids" not in {field["name"] for field in fields}
    rows = api.query("SELECT * FROM Documents WHERE id = '15x5';")
    assert rows[0]["imageattachmentids"] == "15x6"
    assert api.query("SELECT notes_title FROM Documents WHERE id = '15x5';") == [
        {"notes_title": "Deed", "id": "15x5"}
    ]


def upload(api: Api, record: dict) -> None:
    answer = api.ok_post(
        "FileUpload",
        parentId=record["id"],
        attachmentType="Attachment",
        fileName="plan é.pdf",
        fileContents=base64.b64encode(CONTENT).decode(),
    )
    assert answer == {"message": "successfull"}


def test_file_upload_fills_a_document():
    with Sandbox(company=small_company()) as sandbox:
        api = Api(sandbox)
        document = api.create("Documents", notes_title="WithFile")
        upload(api, document)
        read = api.ok("retrieve", id=document["id"])
        assert (read["filename"], read["filesize"]) == ("plan_é.pdf", "850")
        file = read["imageattachmentids"]
        row = api.query(f"SELECT * FROM Documents WHERE id = '{document['id']}';")[0]
        assert list(row)[-2:] == ["id", "imageattachmentids"]
        assert api.ok("files_retrieve", id=file) == [
            {
                "fileid": file.partition("x")[2],
                "filename": "plan_é.pdf",
                "filetype": "application/pdf",
                "filesize": 850,
                "filecontents": base64.b64encode(CONTENT).decode(),
            }
        ]


def test_file_upload_gives_a_file_the_prefix_of_its_module():
    with Sandbox(company=small_company()) as sandbox:
        api = Api(sandbox)
        contact = api.create("Contacts", lastname="Face")
        upload(api, contact)
        file = api.ok("retrieve", id=contact["id"])["imageattachmentids"]
        assert file.partition("x")[0] == contact["id"].partition("x")[0]
        assert file != contact["id"]
        assert api.ok("files_retrieve", id=file)[0]["filesize"] == 850
