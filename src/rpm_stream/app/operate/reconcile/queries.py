"""The queries of the books. No value of a record is ever part of a statement."""

from __future__ import annotations

from rpm_stream.app.kafka.names import FRAMES
from rpm_stream.app.operate.reconcile.marks import NEAR

WAITING = (
    "r.at_place >= IFNULL((SELECT next FROM done WHERE topic = 'rpm.readings' AND part ="
    " r.at_part), 0)"
)
TEMPORARY = f"""
DROP TABLE IF EXISTS temp.again;
CREATE TEMP TABLE again AS
  SELECT r.id FROM reading r WHERE r.same IS NOT NULL AND NOT r.single AND NOT {WAITING} AND (
    EXISTS (SELECT 1 FROM reading o WHERE {NEAR} AND (o.at_place, o.at, o.id) < (r.at_place, r.at,
      r.id))
    OR EXISTS (SELECT 1 FROM adopted o WHERE {NEAR}) OR r.at < (SELECT at FROM temp.beginning)
  );
CREATE INDEX temp.agains ON again (id);
DROP TABLE IF EXISTS temp.outcome; DROP TABLE IF EXISTS temp.window; DROP TABLE IF EXISTS temp.lost;
CREATE TEMP TABLE outcome AS
  SELECT f.device, f.hour, CASE
    WHEN r.policy = 'none' THEN 'not_published' WHEN r.back THEN 'taken_back'
    WHEN r.id IN (SELECT id FROM temp.again) THEN 'also_seen'
      WHEN r.policy = 'summary' THEN 'summary'
    WHEN r.single THEN 'single' WHEN {WAITING} THEN 'waiting' ELSE 'missing' END AS state,
  COUNT(*) AS count, SUM(r.policy = 'summary' AND r.single) AS besides
  FROM reading r JOIN frame f USING (part, place) GROUP BY 1, 2, 3;
CREATE INDEX temp.outcomes ON outcome (device, hour);
CREATE TEMP TABLE window AS
  SELECT r.summary AS id, SUM(NOT {WAITING}) AS judged,
  SUM({WAITING}) AS waiting, (SELECT COUNT(*) FROM adopted a WHERE a.summary = r.summary)
    AS adopted,
  SUM(r.single AND NOT r.back AND NOT {WAITING}) AS single, SUM(r.back AND NOT {WAITING}) AS back,
  SUM(NOT r.back AND r.id IN (SELECT id FROM temp.again)) AS again,
  MIN(CASE WHEN NOT r.single THEN r.part END) AS part, MIN(CASE
    WHEN NOT r.single THEN r.place END) AS place
  FROM reading r WHERE r.policy = 'summary' GROUP BY 1;
CREATE INDEX temp.windows ON window (id);
CREATE TEMP TABLE lost (device TEXT, hour INT, frames INT);
CREATE INDEX temp.losses ON lost (device, hour);
"""  # noqa: S608  # it holds no value of a record
COUNTED = """
SELECT gateway, said, boot, seq FROM frame
WHERE gateway IS NOT NULL AND gateway != '' AND boot IS NOT NULL AND seq IS NOT NULL
  ORDER BY gateway, said, boot, seq
"""
BLIND = """
DROP TABLE IF EXISTS temp.blind;
CREATE TEMP TABLE blind AS SELECT device, part, place FROM frame
  WHERE (gateway IS NULL OR boot IS NULL OR seq IS NULL) AND gateway IS NOT '';
CREATE INDEX temp.blinds ON blind (device, part, place);
"""
OF_SENDER = "gateway = ? AND said = ? AND boot = ? AND seq = ?"
NEWEST = f"SELECT part, MAX(place) FROM frame WHERE {OF_SENDER}"  # noqa: S608
OLDEST = f"SELECT part, MIN(place) FROM frame WHERE {OF_SENDER}"  # noqa: S608
TAKE_BLIND = """
DELETE FROM temp.blind WHERE rowid IN (
  SELECT rowid FROM temp.blind WHERE device = ? AND part = ? AND place > ? AND place < ?
    ORDER BY place LIMIT ?)
"""
LOST = f"""
INSERT INTO temp.lost SELECT device, hour, ? FROM frame WHERE {OF_SENDER} ORDER BY hour LIMIT 1
"""  # noqa: S608
FRAMES_SQL = f"""
SELECT f.device, f.hour, f.part, f.place, f.frame, a.body,
  (SELECT IFNULL(SUM(count), 0) FROM message m WHERE m.part = f.part AND m.place = f.place),
  (SELECT json_group_object(reason, n) FROM (
    SELECT reason, SUM(parts) AS n FROM reject j WHERE j.part = f.part
      AND j.place = f.place GROUP BY reason)),
  f.place >= IFNULL((SELECT next FROM done WHERE topic = '{FRAMES}' AND part = f.part), 0)
FROM frame f LEFT JOIN account a USING (part, place) ORDER BY f.device, f.hour, f.part, f.place
"""  # noqa: S608
READINGS_SQL = f"""
SELECT f.device, f.frame, r.at_part, r.at_place, COUNT(*), MIN(r.entry), MIN(r.value)
FROM reading r JOIN frame f USING (part, place)
WHERE r.policy = 'single' AND NOT r.single AND NOT r.back AND NOT {WAITING}
  AND r.id NOT IN (SELECT id FROM temp.again)
GROUP BY r.at_part, r.at_place ORDER BY r.at_part, r.at_place
"""  # noqa: S608
WINDOWS_SQL = """
SELECT s.id, s.patient, s.vital, s.start, s.seen, w.judged, w.waiting + w.adopted, w.single,
  w.back, w.again,
  o.n, o.at_part, o.at_place, f.device, f.frame, f.part, f.place
FROM summary s JOIN temp.window w USING (id) LEFT JOIN observation o USING (id)
LEFT JOIN frame f ON f.part = w.part AND f.place = w.place ORDER BY s.start, s.id
"""
LATER_SQL = """
SELECT 1 FROM summary s JOIN temp.window w USING (id)
WHERE s.patient = ? AND s.vital = ? AND s.newest >= ? AND w.waiting = 0 LIMIT 1
"""
