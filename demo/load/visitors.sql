-- Who visited our stand at the fair
SELECT lastname, firstname, email, phone, company AS account_id
FROM read_csv('demo/load/visitors.csv', all_varchar = true);
