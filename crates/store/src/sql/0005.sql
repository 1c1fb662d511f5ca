UPDATE due SET subject = subject || '/' || party WHERE subject LIKE '%--%' AND subject NOT LIKE '%/%' AND party IS NOT NULL;
