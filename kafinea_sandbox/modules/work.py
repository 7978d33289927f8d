"""The modules about the work: tickets, projects, the calendar, mail, documents."""

from __future__ import annotations

from kafinea_sandbox.modules.fields import (
    DESCRIPTION,
    MODIFIED_BY,
    OWNER,
    PROGRESS,
    RECORD,
    SOURCE,
    TIMES,
    TRACES,
    boolean,
    date,
    datetime,
    default,
    double,
    file,
    integer,
    locked,
    must,
    phone,
    picklist,
    raw,
    reference,
    string,
    text,
    time,
    url,
)
from kafinea_sandbox.modules.model import Module

HELP_DESK = Module(
    "HelpDesk",
    "Tickets",
    "Ticket",
    (
        locked(string("ticket_no", "Ticket Number")),
        must(string("ticket_title", "Title", 255)),
        reference("parent_id", "Organization Name", "Accounts"),
        reference("contact_id", "Contact Name", "Contacts"),
        must(picklist("ticketpriorities", "Priority", "Low", "Normal", "High", "Urgent")),
        reference("product_id", "Product Name", "Products"),
        picklist("ticketseverities", "Severity", "Minor", "Major", "Feature", "Critical"),
        must(
            picklist(
                "ticketstatus",
                "Status",
                *("Open", "In Progress", "Wait For Response", "Closed"),
            )
        ),
        picklist("ticketcategories", "Category", "Big Problem", "Small Problem", "Other Problem"),
        double("hours", "Hours", 8),
        double("days", "Days", 8),
        boolean("from_portal", "From Portal"),
        *RECORD,
        DESCRIPTION,
        text("solution", "Solution"),
    ),
    # describe names the column, not the field ticket_title; Documents likewise
    label_fields=("title",),
    number_field="ticket_no",
    number_prefix="TT",
)

_KIND = ("administrative", "operative", "other")
_PRIORITY = ("low", "normal", "high")

PROJECT = Module(
    "Project",
    "Projects",
    "Project",
    (
        must(string("projectname", "Project Name", 255)),
        date("startdate", "Start Date"),
        date("targetenddate", "Target End Date"),
        date("actualenddate", "Actual End Date"),
        picklist(
            "projectstatus",
            "Status",
            *("prospecting", "initiated", "in progress", "waiting for feedback", "on hold"),
            *("completed", "delivered", "archived"),
        ),
        picklist("projecttype", "Type", *_KIND),
        reference("linktoaccountscontacts", "Related To", "Accounts", "Contacts"),
        locked(string("project_no", "Project Number")),
        string("targetbudget", "Target Budget", 255),
        url("projecturl", "Project Url"),
        picklist("projectpriority", "Priority", *_PRIORITY),
        picklist("progress", "Progress", *PROGRESS),
        *RECORD,
        DESCRIPTION,
        boolean("isconvertedfrompotential", "Is Converted From Opportunity"),
        reference("potentialid", "Opportunity Name", "Potentials"),
    ),
    label_fields=("projectname",),
    number_field="project_no",
    number_prefix="PROJ",
)

PROJECT_TASK = Module(
    "ProjectTask",
    "Project Tasks",
    "Project Task",
    (
        must(string("projecttaskname", "Project Task Name", 255)),
        picklist("projecttasktype", "Type", *_KIND),
        picklist("projecttaskpriority", "Priority", *_PRIORITY),
        must(reference("projectid", "Related To", "Project")),
        integer("projecttasknumber", "Project Task Number"),
        locked(string("projecttask_no", "Project Task No")),
        picklist("projecttaskprogress", "Progress", *PROGRESS),
        string("projecttaskhours", "Worked Hours", 255),
        date("startdate", "Start Date"),
        date("enddate", "End Date"),
        *RECORD,
        DESCRIPTION,
        picklist(
            "projecttaskstatus",
            "Status",
            # The blank at the end of the last value is vtiger's.
            *("Open", "In Progress", "Completed", "Deferred", "Canceled "),
        ),
    ),
    label_fields=("projecttaskname",),
    number_field="projecttask_no",
    number_prefix="PT",
)

PROJECT_MILESTONE = Module(
    "ProjectMilestone",
    "Project Milestones",
    "Project Milestone",
    (
        must(string("projectmilestonename", "Project Milestone Name", 255)),
        date("projectmilestonedate", "Milestone Date"),
        must(reference("projectid", "Related To", "Project")),
        picklist("projectmilestonetype", "Type", *_KIND),
        locked(string("projectmilestone_no", "Project Milestone Number")),
        *RECORD,
        DESCRIPTION,
    ),
    label_fields=("projectmilestonename",),
    number_field="projectmilestone_no",
    number_prefix="PM",
)

_ACTIVITY = (
    boolean("sendnotification", "Send Notification"),
    picklist("taskpriority", "Priority", "High", "Medium", "Low"),
    picklist("visibility", "Visibility", "Private", "Public"),
    picklist("duration_minutes", "Duration Minutes", "00", "15", "30", "45"),
    string("location", "Location", 150),
    integer("reminder_time", "Send Reminder"),
    picklist("recurringtype", "Repeat", "Daily", "Weekly", "Monthly", "Yearly"),
    boolean("notime", "No Time"),
    reference(
        "parent_id",
        "Related To",
        *("Accounts", "Campaigns", "HelpDesk", "Invoice", "Leads", "Potentials"),
        *("PurchaseOrder", "Quotes", "SalesOrder"),
    ),
    reference("contact_id", "Contact Name", "Contacts"),
    *RECORD,
    DESCRIPTION,
)
_ACTIVITY_TYPE = picklist("activitytype", "Activity Type", "Call", "Meeting", "Mobile Call")
_EVENT_STATUS = picklist("eventstatus", "Status", "Planned", "Held", "Not Held")

CALENDAR = Module(
    "Calendar",
    "Calendar",
    "Task",
    (
        must(string("subject", "Subject", 255)),
        must(date("date_start", "Start Date & Time")),
        must(time("time_start", "Time Start")),
        time("time_end", "End Time"),
        must(date("due_date", "Due Date")),
        must(
            picklist(
                "taskstatus",
                "Status",
                *("Not Started", "In Progress", "Completed"),
                *("Pending Input", "Deferred", "Planned"),
            )
        ),
        _EVENT_STATUS,
        _ACTIVITY_TYPE,
        time("duration_hours", "Duration"),  # described as a time, yet it holds "23"
        *_ACTIVITY,
    ),
    label_fields=("subject",),
)

EVENTS = Module(
    "Events",
    "Events",
    "Event",
    (
        must(string("subject", "Subject", 255)),
        must(date("date_start", "Start Date & Time")),
        must(time("time_start", "Time Start")),
        must(date("due_date", "End Date")),
        must(time("time_end", "End Time")),
        must(integer("duration_hours", "Duration")),
        must(_EVENT_STATUS),
        must(_ACTIVITY_TYPE),
        *_ACTIVITY,
    ),
    label_fields=("subject",),
)

EMAILS = Module(
    "Emails",
    "Emails",
    "Email",
    (
        must(date("date_start", "Date Sent")),
        string("parent_type", "Sales Enity Module", 50),
        string("activitytype", "Activtiy Type", 200),
        must(string("subject", "Subject", 255)),
        file("filename", "Attachment"),
        DESCRIPTION,
        time("time_start", "Time Sent"),
        default("0", integer("access_count", "Access Count")),
        must(string("from_email", "From", 50)),
        must(string("saved_toid", "To", 1000)),
        string("ccmail", "CC", 1000),
        string("bccmail", "BCC", 1000),
        reference(
            "parent_id", "Parent Record", "Accounts", "Contacts", "Leads", "Users", "Vendors"
        ),
        picklist("email_flag", "Email Flag", "SAVED", "SENT", "MAILSCANNER"),
        default("0", integer("click_count", "Click Count")),
        *RECORD,
    ),
    label_fields=("subject",),
)

DOCUMENTS = Module(
    "Documents",
    "Documents",
    "Document",
    (
        must(string("notes_title", "Title", 200)),
        file("filename", "File Name"),
        text("notecontent", "Note"),
        locked(raw(string("filetype", "File Type"))),
        locked(raw(integer("filesize", "File Size"))),
        raw(string("filelocationtype", "Download Type", 5)),  # I: in the system, E: elsewhere
        raw(string("fileversion", "Version", 50)),
        default("1", boolean("filestatus", "Active")),
        locked(raw(integer("filedownloadcount", "Download Count"))),
        reference("folderid", "Folder Name", "DocumentFolders"),
        locked(string("note_no", "Document No")),
        *RECORD,
    ),
    label_fields=("title",),
    number_field="note_no",
    number_prefix="DOC",
)

FAQ = Module(
    "Faq",
    "FAQ",
    "FAQ",
    (
        reference("product_id", "Product Name", "Products"),
        locked(string("faq_no", "Faq Number")),
        picklist("faqcategories", "Category", "General"),
        must(picklist("faqstatus", "Status", "Draft", "Reviewed", "Published", "Obsolete")),
        must(text("question", "Question")),
        must(text("faq_answer", "Answer")),
        *TRACES,
    ),
    label_fields=("question",),
    number_field="faq_no",
    number_prefix="FAQ",
)

MOD_COMMENTS = Module(
    "ModComments",
    "Comments",
    "Comment",
    (
        must(text("commentcontent", "Comment")),
        OWNER,
        *TIMES,
        must(
            reference(
                "related_to",
                "Related To",
                *("Leads", "PurchaseOrder", "Quotes", "Invoice", "Faq", "HelpDesk", "ProjectTask"),
                *("Project", "Potentials", "Accounts", "Contacts", "SalesOrder"),
            )
        ),
        locked(reference("creator", "Creator", "Users")),
        reference("parent_comments", "Related To", "ModComments"),
        SOURCE,
        reference("customer", "Customer", "Contacts"),
        reference("userid", "UserId"),
        text("reasontoedit", "ReasonToEdit"),
        integer("is_private", "Is Private"),
        file("filename", "Attachment"),
        default("0", integer("related_email_id", "Related Email Id")),
    ),
    label_fields=("commentcontent",),
)

SMS_NOTIFIER = Module(
    "SMSNotifier",
    "SMS Notifier",
    "SMS Notifier",
    (OWNER, *TIMES, must(text("message", "Message")), MODIFIED_BY, SOURCE),
    label_fields=("message",),
)

PBX_MANAGER = Module(
    "PBXManager",
    "PBX Manager",
    "Call Record",
    (
        string("direction", "Direction", 10),
        string("callstatus", "Call Status", 20),
        locked(datetime("starttime", "Start Time")),
        locked(datetime("endtime", "End Time")),
        integer("totalduration", "Duration (sec)"),
        integer("billduration", "Bill Duration (sec)"),
        url("recordingurl", "Recording"),
        string("sourceuuid", "Source UUID"),
        string("gateway", "Gateway", 20),
        reference("customer", "Customer", "Leads", "Contacts", "Accounts"),
        reference("user", "User", "Users"),
        must(phone("customernumber", "Customer Number")),
        string("customertype", "Customer Type"),
        OWNER,
        # Spelt with capitals here alone, so this module has no field "modifiedtime".
        locked(datetime("CreatedTime", "Created Time")),
        locked(datetime("ModifiedTime", "Modified Time")),
        SOURCE,
    ),
    label_fields=("customernumber",),
)
