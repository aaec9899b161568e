PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE job (
	number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	id VARCHAR(32) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	owner VARCHAR(128) NOT NULL, 
	priority INTEGER NOT NULL, 
	request_id VARCHAR(128) NOT NULL, 
	idempotency_key VARCHAR(256), 
	fingerprint VARCHAR(64), 
	options JSON NOT NULL, 
	inputs JSON NOT NULL, 
	estimate_s DOUBLE, 
	created_at DOUBLE NOT NULL, 
	run_after DOUBLE NOT NULL, 
	claimed_at DOUBLE, 
	started_at DOUBLE, 
	finished_at DOUBLE, 
	expired BOOLEAN NOT NULL, 
	attempt INTEGER NOT NULL, 
	crashes INTEGER NOT NULL, 
	failures INTEGER NOT NULL, 
	version INTEGER NOT NULL, 
	lease_owner VARCHAR(256), 
	lease_until DOUBLE, 
	cancel_requested BOOLEAN NOT NULL, 
	finish_requested BOOLEAN NOT NULL, 
	eta_s DOUBLE, 
	step INTEGER, 
	steps INTEGER, 
	size INTEGER, 
	content_loss DOUBLE, 
	style_loss DOUBLE, 
	error JSON, 
	preview VARCHAR(256), 
	result VARCHAR(256), 
	painting VARCHAR(256), 
	extras JSON, 
	checkpoints JSON NOT NULL, 
	UNIQUE (owner, idempotency_key), 
	UNIQUE (id)
);
INSERT INTO job VALUES(1,'6e4e41851b40481980a559d6f80100e5','stylize','succeeded','anonymous',0,'44d8661c24db476a9c0ba4a87af902a6',NULL,NULL,'{"size": 64, "quality": "preview", "strength": 0.5, "content_weight": null, "style_weight": null, "style_weights": null, "layer_weights": [1.0, 1.0, 1.0, 1.0, 1.0], "color": "style", "style_scale": 1.0, "init": "content", "seed": 1315967186, "format": "png", "style_name": ["mosaic"], "photo_width": 96, "photo_height": 64, "width": 64, "height": 43}','{"content": "jobs/6e4e41851b40481980a559d6f80100e5/0/content", "style-0": "jobs/6e4e41851b40481980a559d6f80100e5/0/style-0"}',NULL,1735691022.5487325191,0.0,1735691022.6305968761,1735691022.6305968761,1735691025.9888644218,0,1,0,0,52,NULL,NULL,0,0,NULL,107,150,64,0.27585017681121826171,0.22826513648033142089,NULL,'jobs/6e4e41851b40481980a559d6f80100e5/1/preview.jpg','jobs/6e4e41851b40481980a559d6f80100e5/1/result.png','jobs/6e4e41851b40481980a559d6f80100e5/1/painting','{}','[]');
INSERT INTO job VALUES(2,'14c4171d5a64417d9604300b0e1e0bfe','stylize','cancelled','anonymous',0,'e451a4c2c6194bafb246bb1c80bec59b',NULL,NULL,'{"size": 64, "quality": "standard", "strength": 0.5, "content_weight": null, "style_weight": null, "style_weights": null, "layer_weights": [1.0, 1.0, 1.0, 1.0, 1.0], "color": "style", "style_scale": 1.0, "init": "noise", "seed": 2909730979, "format": "png", "style_name": ["mosaic"], "photo_width": 96, "photo_height": 64, "width": 64, "height": 43}','{}',NULL,1735691026.0482873916,0.0,1735691026.2688689231,1735691026.2688689231,1735691026.5783452987,0,1,0,0,8,NULL,NULL,1,0,NULL,6,100,64,0.25222930312156677246,0.9033711552619934082,NULL,'jobs/14c4171d5a64417d9604300b0e1e0bfe/1/preview.jpg',NULL,NULL,NULL,'[]');
INSERT INTO job VALUES(3,'4f13b1a5a80a4c26a02ee537c2c934bd','stylize','running','anonymous',0,'6c67290094da4f03a2fa21c6a9108979',NULL,NULL,'{"size": 64, "quality": "standard", "strength": 0.5, "content_weight": null, "style_weight": null, "style_weights": null, "layer_weights": [1.0, 1.0, 1.0, 1.0, 1.0], "color": "style", "style_scale": 1.0, "init": "noise", "seed": 136786274, "format": "png", "style_name": ["mosaic"], "photo_width": 96, "photo_height": 64, "width": 64, "height": 43}','{"content": "jobs/4f13b1a5a80a4c26a02ee537c2c934bd/0/content", "style-0": "jobs/4f13b1a5a80a4c26a02ee537c2c934bd/0/style-0"}',NULL,1735691026.6487495898,0.0,1735691026.8554220199,1735691026.8554220199,NULL,0,1,0,0,11,'studio:/home/you/atelier/var#0-be286857',1735691029.2487437725,0,0,NULL,25,100,64,0.29609116911888122558,0.28852856159210205078,NULL,'jobs/4f13b1a5a80a4c26a02ee537c2c934bd/1/preview.jpg',NULL,NULL,NULL,'["jobs/4f13b1a5a80a4c26a02ee537c2c934bd/1/checkpoint-20", "jobs/4f13b1a5a80a4c26a02ee537c2c934bd/1/checkpoint-14"]');
INSERT INTO job VALUES(4,'573eb6c0398b427fb6685966c1295502','stylize','queued','anonymous',0,'886e11637c044d649a6efca6f8ac81e1',NULL,NULL,'{"size": 64, "quality": "preview", "strength": 0.5, "content_weight": null, "style_weight": null, "style_weights": null, "layer_weights": [1.0, 1.0, 1.0, 1.0, 1.0], "color": "style", "style_scale": 1.0, "init": "content", "seed": 3341740820, "format": "png", "style_name": ["mosaic"], "photo_width": 96, "photo_height": 64, "width": 64, "height": 43}','{"content": "jobs/573eb6c0398b427fb6685966c1295502/0/content", "style-0": "jobs/573eb6c0398b427fb6685966c1295502/0/style-0"}',NULL,1735691027.4363648891,0.0,NULL,NULL,NULL,0,0,0,0,1,NULL,NULL,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'[]');
CREATE TABLE identity (
	id VARCHAR(32) NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO identity VALUES('2a1d2ab18421452580e32a2130dee169');
CREATE TABLE worker (
	name VARCHAR(256) NOT NULL, 
	device VARCHAR(32) NOT NULL, 
	dtype VARCHAR(32) NOT NULL, 
	memory_bytes BIGINT NOT NULL, 
	calibration JSON, 
	started_at DOUBLE NOT NULL, 
	seen_at DOUBLE NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO worker VALUES('studio:/home/you/atelier/var#0-be286857','cpu','bfloat16',25276510208,NULL,1735691021.9709124564,1735691027.250808239);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('job',4);
CREATE INDEX job_by_turn ON job (owner, kind, claimed_at);
CREATE INDEX job_by_status ON job (status);
COMMIT;
