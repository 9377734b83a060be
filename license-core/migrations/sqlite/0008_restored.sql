-- After a restore from a backup, who holds what is not known until the leases that were lost with the tail are over: no
-- new seat is given before `held_until`.
INSERT INTO memory (name, value) VALUES ('held_until', 0);
