"""All but selling: tickets, projects, contracts, appointments, mail, documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafinea_sandbox.company import words
from kafinea_sandbox.company.calendar import days
from kafinea_sandbox.company.files import pdf, png
from kafinea_sandbox.company.office import SELLERS, SUPPORT_TEAM
from kafinea_sandbox.rows import File, Relation

if TYPE_CHECKING:
    from kafinea_sandbox.company.office import Office, Story
    from kafinea_sandbox.rows import Row

_NOTES = "Relevé du site\n- 12 postes\n- prises : à prévoir\n- Wi-Fi faible à l'étage\n".encode()
_FILES = (
    ("Devis signé", "devis_signé_{}.pdf", "application/pdf", pdf("Bon pour accord (devis signé)")),
    ("Photo du chantier", "photo_{}.png", "image/png", png(120, 150, 180)),
    ("Relevé & notes", "notes_{}.txt", "text/plain", _NOTES),
)


def comment(office: Office, about: int, answers: int | None = None) -> Row:
    """A comment on any record."""
    return office.enter(
        "ModComments",
        commentcontent=office.one_of(words.COMMENTS),
        related_to=about,
        parent_comments=answers,
        creator=office.one_of(SELLERS),
    )


def ticket(office: Office) -> Story:
    """A ticket, and comments on it."""
    buyer = office.customers.pick()
    solved = office.time + days(0.3 + office.chance() * 20)
    done = solved <= office.calendar.end
    luck = office.chance()
    case = office.enter(
        "HelpDesk",
        solved if done else None,
        ticket_title=office.one_of(words.TROUBLES),
        parent_id=buyer.number,
        contact_id=buyer.contact,
        product_id=office.one_of(office.products) if luck < 0.5 else None,
        ticketpriorities=("Low", "Normal", "Normal", "High", "Urgent")[int(luck * 5)],
        ticketseverities=("Minor", "Major", "Critical")[int(luck * 3)],
        ticketstatus="Closed"
        if done
        else ("Open", "In Progress", "Wait For Response")[int(luck * 3)],
        ticketcategories="Small Problem" if luck < 0.7 else "Big Problem",
        hours=f"{int(luck * 16) / 2:.8f}",
        from_portal="1" if luck < 0.2 else "0",
        description=office.one_of(words.ODD_TEXTS if luck < 0.1 else words.TEXTS),
        solution="Pièce remplacée & testée." if done else "",
    )
    yield case
    if luck < 0.6:
        yield 1800 + int(luck * 9000)
        remark = comment(office, case.number)
        yield remark
        if luck < 0.2:
            yield 7200
            yield comment(office, case.number, remark.number)


def project(office: Office) -> Story:
    """A project with its tasks and milestones."""
    buyer = office.customers.pick()
    calendar = office.calendar
    length = 40 + int(office.chance() * 60)
    finished = office.time + days(length)
    done = finished <= calendar.end
    site = office.enter(
        "Project",
        finished if done else None,
        projectname=f"Chantier {buyer.name}",
        startdate=calendar.date(office.time),
        targetenddate=calendar.date(office.time, length - 3),
        actualenddate=calendar.date(finished) if done else "",
        projectstatus="completed" if done else "in progress",
        projecttype="operative",
        linktoaccountscontacts=buyer.number,
        targetbudget=f"{length * 400} €",
        projectpriority="normal",
        progress="100%" if done else "40%",
        description="Accès par l'arrière-cour ; badge & casque obligatoires.",
        isconvertedfrompotential="0",
    )
    yield site
    for place, name in enumerate(words.PROJECT_STEPS):
        start, end = place * length // 7, (place + 1) * length // 7
        ticked = office.time + days(end)
        over = ticked <= calendar.end
        yield office.enter(
            "ProjectTask",
            ticked if over else None,
            projecttaskname=name,
            projecttasktype="operative",
            projecttaskpriority=("low", "normal", "high")[place % 3],
            projectid=site.number,
            projecttasknumber=str(place + 1),
            projecttaskprogress="100%" if over else "",
            projecttaskhours=str(4 + place * 3),
            startdate=calendar.date(office.time, start),
            enddate=calendar.date(office.time, end),
            projecttaskstatus="Completed" if over else "Open",
        )
        if place % 3 == 2:
            yield office.enter(
                "ProjectMilestone",
                projectmilestonename=f"Jalon : {name}",
                projectmilestonedate=calendar.date(office.time, end),
                projectid=site.number,
                projectmilestonetype="operative",
            )


def contract(office: Office) -> Story:
    """A service contract for a year."""
    buyer = office.customers.pick()
    used = int(office.chance() * 10)
    yield office.enter(
        "ServiceContracts",
        start_date=office.calendar.date(office.time),
        due_date=office.calendar.date(office.time, 365),
        sc_related_to=buyer.number,
        tracking_unit="Incidents",
        total_units="10.00",
        used_units=f"{used}.00",
        subject=f"Maintenance - {buyer.name}"[:100],
        planned_duration="365",
        contract_status="In Progress",
        contract_priority="Normal",
        contract_type="Support",
        progress=f"{used * 10}.00",
        assigned_user_id=SUPPORT_TEAM,
    )


def task(office: Office) -> Story:
    """A task in the calendar."""
    buyer = office.customers.pick()
    due = office.time + days(1 + office.chance() * 10)
    done = due <= office.calendar.end
    yield office.enter(
        "Calendar",
        due if done else None,
        subject=f"{office.one_of(words.TASKS)} ({buyer.name})",
        date_start=office.calendar.date(office.time),
        time_start="09:00:00",
        due_date=office.calendar.date(office.time, 10),
        taskstatus="Completed" if done else "Not Started",
        taskpriority=office.one_of(("High", "Medium", "Low")),
        activitytype="Task",
        visibility="Private",
        parent_id=buyer.number,
        contact_id=buyer.contact,
    )


def meeting(office: Office) -> Story:
    """An event in the calendar."""
    buyer = office.customers.pick()
    hour = 6 + int(office.chance() * 9)
    yield office.enter(
        "Events",
        subject=f"{office.one_of(words.MEETINGS)} - {buyer.name}",
        date_start=office.calendar.date(office.time, 3),
        time_start=f"{hour:02d}:30:00",
        due_date=office.calendar.date(office.time, 3),
        time_end=f"{hour + 1:02d}:30:00",
        duration_hours="1",
        duration_minutes="00",
        eventstatus="Held" if office.time + days(4) < office.calendar.end else "Planned",
        activitytype="Call" if hour % 3 == 0 else "Meeting",
        visibility="Public",
        location=f"{buyer.street}, {buyer.town[0]}",
        parent_id=buyer.number,
        contact_id=buyer.contact,
    )


def mail(office: Office) -> Story:
    """An e-mail to a customer."""
    buyer = office.customers.pick()
    moment = office.now
    yield office.enter(
        "Emails",
        date_start=moment[:10],
        time_start=moment[11:],
        parent_type="Contacts",
        activitytype="Emails",
        subject=office.one_of(words.MAILS),
        description="<p>Bonjour,</p><p>Voir la pi&egrave;ce jointe &amp; nos tarifs.</p>",
        from_email="claire@ateliers-erdre.example",
        saved_toid=f'["contact@{buyer.domain}"]',
        parent_id=buyer.contact,
        email_flag="SENT",
    )


def call(office: Office) -> Story:
    """A telephone call."""
    buyer = office.customers.pick()
    length = 20 + int(office.chance() * 900)
    stamp = office.calendar.stamp
    yield office.enter(
        "PBXManager",
        direction="inbound",
        callstatus="completed",
        starttime=stamp(max(0, office.time - length)),
        endtime=office.now,
        totalduration=str(length),
        billduration=str(length - 5),
        sourceuuid=f"{int(office.chance() * 16**12):012x}",
        gateway="PBXManager",
        customer=buyer.contact,
        user=office.one_of(SELLERS),
        customernumber="+33 2 61 91 00 01",
        customertype="Contacts",
        CreatedTime=office.now,
        ModifiedTime=office.now,
    )


def message(office: Office) -> Story:
    """A text message to announce a delivery."""
    yield office.enter("SMSNotifier", message="Livraison demain entre 9 h & 12 h. L'équipe Erdre")


def document(office: Office) -> Story:
    """A document of an account, with a file; every tenth is a link."""
    buyer = office.customers.pick()
    nth = office.count("Documents")
    title, pattern, mime, content = _FILES[nth % 3]
    if nth % 10 == 9:
        yield office.enter(
            "Documents",
            notes_title="Fiche technique en ligne",
            filename="https://docs.example/fiche?ref=BUR-140&v=2",
            filelocationtype="E",
            filestatus="1",
            folderid=1,
        )
        return
    name = pattern.format(nth + 1)
    paper = office.enter(
        "Documents",
        notes_title=f"{title} - {buyer.name}",
        filename=name,
        notecontent="<p>Reçu par courrier.</p>" if nth % 4 == 0 else "",
        filetype=mime,
        filesize=str(len(content)),
        filelocationtype="I",
        filestatus="1",
        folderid=nth % 3 + 2,
    )
    yield paper
    yield File(office.number(), paper.number, name, mime, content)
    yield Relation(buyer.number, paper.number, "Documents")


def note(office: Office) -> Story:
    """A comment on an account or a lead."""
    if office.leads and office.chance() < 0.3:
        yield comment(office, office.leads.pick())
    else:
        yield comment(office, office.customers.pick().number)
