BEGIN TRANSACTION;
CREATE TABLE active (
	"key" BLOB NOT NULL, 
	route INTEGER NOT NULL, 
	state INTEGER NOT NULL, 
	owner INTEGER, 
	fence INTEGER NOT NULL, 
	attempt INTEGER NOT NULL, 
	crashes INTEGER NOT NULL, 
	suspect INTEGER NOT NULL, 
	held INTEGER NOT NULL, 
	due FLOAT, 
	message_id TEXT NOT NULL, 
	source INTEGER NOT NULL, 
	batch TEXT, 
	digest TEXT, 
	PRIMARY KEY ("key")
)
 WITHOUT ROWID

;
INSERT INTO "active" VALUES(X'18301B03D10B136AE52F82BE89CBD51E',1,1,1,1800000000000000,1,0,0,0,NULL,'claimed',1,'b/1',NULL);
INSERT INTO "active" VALUES(X'444A44E37C1AACF216028D3EECD71363',1,2,NULL,0,1,0,0,1,1800000060.0,'later',1,'b/1',NULL);
INSERT INTO "active" VALUES(X'CF59814878EB608FD5298AE8E2615CC9',1,3,NULL,1800000000000000,1,0,0,1,NULL,'dead',1,'b/1',NULL);
INSERT INTO "active" VALUES(X'E118E022D4FCC26D1AD50BFDAC1AE5AE',1,2,NULL,1800000000000000,2,0,0,1,1800000001.0,'waiting',1,'b/1',NULL);
CREATE TABLE audit (
	number INTEGER NOT NULL, 
	at FLOAT NOT NULL, 
	who TEXT NOT NULL, 
	what TEXT NOT NULL, 
	detail TEXT NOT NULL, 
	PRIMARY KEY (number)
);
CREATE TABLE batches (
	id TEXT NOT NULL, 
	ordinal INTEGER NOT NULL, 
	queue TEXT NOT NULL, 
	dag_id TEXT NOT NULL, 
	run_id TEXT NOT NULL, 
	task_id TEXT NOT NULL, 
	map_index INTEGER NOT NULL, 
	opened_at FLOAT NOT NULL, 
	closed_at FLOAT, 
	count INTEGER, 
	already_done INTEGER NOT NULL, 
	PRIMARY KEY (id, ordinal)
);
INSERT INTO "batches" VALUES('b',1,'orders','d','r','t',-1,1800000000.0,1800000000.0,5,0);
CREATE TABLE dead (
	number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	"key" BLOB NOT NULL, 
	route INTEGER NOT NULL, 
	message_id TEXT NOT NULL, 
	source TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	text TEXT NOT NULL, 
	stack TEXT NOT NULL, 
	attempts INTEGER NOT NULL, 
	crashes INTEGER NOT NULL, 
	died_at FLOAT NOT NULL, 
	UNIQUE ("key")
);
INSERT INTO "dead" VALUES(1,X'CF59814878EB608FD5298AE8E2615CC9',1,'dead','tickrelay','failed','ValueError','no such customer','Traceback',1,0,1800000000.0);
CREATE TABLE done (
	"key" BLOB NOT NULL, 
	history INTEGER NOT NULL, 
	PRIMARY KEY ("key")
)
 WITHOUT ROWID

;
INSERT INTO "done" VALUES(X'9526B24C6E52B5E474942C37E57C8DC8',1);
CREATE TABLE failures (
	number INTEGER NOT NULL, 
	"key" BLOB NOT NULL, 
	at FLOAT NOT NULL, 
	attempt INTEGER NOT NULL, 
	what TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	text TEXT NOT NULL, 
	stack TEXT NOT NULL, 
	owner TEXT NOT NULL, 
	PRIMARY KEY (number)
);
INSERT INTO "failures" VALUES(1,X'E118E022D4FCC26D1AD50BFDAC1AE5AE',1800000000.0,1,'failed','ValueError','no such customer','Traceback','one');
INSERT INTO "failures" VALUES(2,X'CF59814878EB608FD5298AE8E2615CC9',1800000000.0,1,'failed','ValueError','no such customer','Traceback','one');
CREATE TABLE history (
	number INTEGER NOT NULL, 
	"key" BLOB NOT NULL, 
	route INTEGER NOT NULL, 
	message_id TEXT NOT NULL, 
	source INTEGER NOT NULL, 
	batch TEXT, 
	digest TEXT, 
	state INTEGER NOT NULL, 
	attempts INTEGER NOT NULL, 
	published_at FLOAT, 
	claimed_at FLOAT, 
	ended_at FLOAT NOT NULL, 
	owner TEXT NOT NULL, 
	PRIMARY KEY (number)
);
INSERT INTO "history" VALUES(1,X'9526B24C6E52B5E474942C37E57C8DC8',1,'done',1,'b/1',NULL,1,1,1799999999.0,1800000000.0,1800000000.0,'one');
CREATE TABLE mailbox (
	number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	"key" BLOB NOT NULL, 
	queue TEXT NOT NULL, 
	group_name TEXT NOT NULL, 
	headers TEXT NOT NULL, 
	body BLOB NOT NULL, 
	received_at FLOAT NOT NULL, 
	taker TEXT, 
	taken_at FLOAT, 
	UNIQUE ("key")
);
CREATE TABLE meta (
	name TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "meta" VALUES('id','be58b0dd-03ca-4a47-b4e7-18fe8daf5cfd');
INSERT INTO "meta" VALUES('schema','1');
INSERT INTO "meta" VALUES('fence','0');
INSERT INTO "meta" VALUES('folded','0');
CREATE TABLE owners (
	number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	name TEXT NOT NULL, 
	host TEXT NOT NULL, 
	pid INTEGER NOT NULL, 
	lease FLOAT NOT NULL, 
	started_at FLOAT NOT NULL, 
	renewed_at FLOAT NOT NULL
);
INSERT INTO "owners" VALUES(1,'one','host',4711,30.0,1800000000.0,1800000000.0);
CREATE TABLE payloads (
	"key" BLOB NOT NULL, 
	headers TEXT NOT NULL, 
	body BLOB NOT NULL, 
	PRIMARY KEY ("key")
);
INSERT INTO "payloads" VALUES(X'444A44E37C1AACF216028D3EECD71363','{"ce_specversion": "1.0", "ce_id": "later", "ce_source": "tickrelay", "ce_type": "tickrelay.task", "content-type": "application/json", "ce_time": "2027-01-15T07:59:59.000000+00:00", "ce_deliverat": "2027-01-15T08:01:00.000000+00:00", "ce_batchid": "b/1"}',X'7B226964223A226C61746572227D');
INSERT INTO "payloads" VALUES(X'E118E022D4FCC26D1AD50BFDAC1AE5AE','{"ce_specversion": "1.0", "ce_id": "waiting", "ce_source": "tickrelay", "ce_type": "tickrelay.task", "content-type": "application/json", "ce_time": "2027-01-15T07:59:59.000000+00:00", "ce_batchid": "b/1"}',X'7B226964223A2277616974696E67227D');
INSERT INTO "payloads" VALUES(X'CF59814878EB608FD5298AE8E2615CC9','{"ce_specversion": "1.0", "ce_id": "dead", "ce_source": "tickrelay", "ce_type": "tickrelay.task", "content-type": "application/json", "ce_time": "2027-01-15T07:59:59.000000+00:00", "ce_batchid": "b/1"}',X'7B226964223A2264656164227D');
CREATE TABLE routes (
	number INTEGER NOT NULL, 
	queue TEXT NOT NULL, 
	group_name TEXT NOT NULL, 
	handler TEXT NOT NULL, 
	seen_at FLOAT NOT NULL, 
	PRIMARY KEY (number), 
	UNIQUE (queue, group_name, handler)
);
INSERT INTO "routes" VALUES(1,'orders','default','sync',1800000000.0);
CREATE TABLE sources (
	number INTEGER NOT NULL, 
	source TEXT NOT NULL, 
	PRIMARY KEY (number), 
	UNIQUE (source)
);
INSERT INTO "sources" VALUES(1,'tickrelay');
CREATE TABLE tallies (
	number INTEGER NOT NULL, 
	batch TEXT, 
	route INTEGER NOT NULL, 
	done INTEGER DEFAULT '0' NOT NULL, 
	dead INTEGER DEFAULT '0' NOT NULL, 
	discarded INTEGER DEFAULT '0' NOT NULL, 
	expired INTEGER DEFAULT '0' NOT NULL, 
	revoked INTEGER DEFAULT '0' NOT NULL, 
	retried INTEGER DEFAULT '0' NOT NULL, 
	duplicates INTEGER DEFAULT '0' NOT NULL, 
	crashes INTEGER DEFAULT '0' NOT NULL, 
	died INTEGER DEFAULT '0' NOT NULL, 
	PRIMARY KEY (number)
);
INSERT INTO "tallies" VALUES(1,'b/1',1,1,1,0,0,0,0,0,0,1);
INSERT INTO "tallies" VALUES(2,NULL,1,0,0,0,0,0,1,0,0,0);
CREATE INDEX active_due ON active (route, due) WHERE state = 2;
CREATE INDEX history_batch ON history (batch) WHERE batch IS NOT NULL;
CREATE INDEX ix_failures_key ON failures ("key");
CREATE INDEX ix_dead_message_id ON dead (message_id);
CREATE INDEX batches_run ON batches (dag_id, run_id);
CREATE INDEX ix_tallies_batch ON tallies (batch);
CREATE INDEX mailbox_place ON mailbox (queue, group_name, taker);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('owners',1);
INSERT INTO "sqlite_sequence" VALUES('dead',1);
COMMIT;
