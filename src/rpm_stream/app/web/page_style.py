"""How the page looks. Colour never stands alone: every priority also has its word and its icon."""

from __future__ import annotations

from rpm_stream.records import Priority

ICONS: dict[Priority, str] = {"high": "error", "medium": "warning", "low": "info"}
WORDS: dict[Priority, str] = {"high": "High", "medium": "Medium", "low": "Low"}
COLOURS: dict[Priority, str] = {"high": "#b3161b", "medium": "#8a5a00", "low": "#1f5fbf"}

CSS = """
:root{--ink:#17222d;--soft:#51606e;--line:#d9dfe5;--paper:#fff;--ground:#f3f5f7;--accent:#1f5fbf;
--high:#b3161b;--high-bg:#fdecec;--medium:#8a5a00;--medium-bg:#fff3d6;--low:#1f5fbf;--low-bg:#e9f1fc;--ok:#1c6b3c}
body{background:var(--ground);color:var(--ink);font:15px/1.45 Roboto,system-ui,-apple-system,"Segoe UI",sans-serif}
.nicegui-content{padding:0;gap:0;align-items:stretch;min-height:100vh}
*:focus-visible{outline:3px solid var(--accent)!important;outline-offset:2px}
.top{background:var(--paper);border-bottom:1px solid var(--line);position:sticky;top:0;z-index:5}
.wrap{width:100%;max-width:1180px;margin:0 auto;padding:0 20px;box-sizing:border-box}
.bar{display:flex;align-items:center;gap:12px 20px;flex-wrap:wrap;padding:12px 0}
.bar h1{font-size:20px;line-height:1.2;font-weight:700;margin:0;letter-spacing:-.01em}
.bar .sub{color:var(--soft);font-size:13px}
.grow{flex:1}
.judged{display:flex;align-items:center;gap:6px;font-size:14px;color:var(--ok);font-weight:500;
font-variant-numeric:tabular-nums}
.judged.bad{color:var(--high);font-weight:700}
.alarm{background:var(--high);color:#fff;font-weight:600}
.alarm .wrap{display:flex;align-items:center;gap:10px;padding-top:10px;padding-bottom:10px}
.tools{display:flex;align-items:center;gap:8px 10px;flex-wrap:wrap;padding:0 0 12px}
.chip,.tab{font:inherit;font-size:14px;display:inline-flex;align-items:center;gap:6px;border:1px solid var(--line);
background:var(--paper);color:var(--ink);border-radius:999px;padding:5px 12px;cursor:pointer;min-height:34px}
.chip b{font-variant-numeric:tabular-nums;font-size:15px}
.chip .q-icon{font-size:18px}
.chip[aria-pressed=false]{opacity:.62;text-decoration:line-through}
.chip.high{border-color:#eab4b6;background:var(--high-bg);color:var(--high)}
.chip.medium{border-color:#ecd38f;background:var(--medium-bg);color:var(--medium)}
.chip.low{border-color:#b9d0f0;background:var(--low-bg);color:var(--low)}
.tab{border-radius:6px;border-color:transparent;color:var(--soft);font-weight:500}
.tab[aria-pressed=true]{background:#e4eaf1;color:var(--ink)}
.list{display:flex;flex-direction:column;gap:8px;padding:16px 0 24px}
.note{color:var(--soft);padding:44px 0;text-align:center;font-size:16px}
.note .q-icon{font-size:34px;display:block;margin:0 auto 8px;color:var(--ok)}
.hidden-note{display:flex;align-items:center;gap:10px;background:#e4eaf1;border-radius:8px;padding:8px 14px;
margin-top:14px}
.hidden-note.high{background:var(--high-bg);color:var(--high);font-weight:600}
.row{display:grid;grid-template-columns:104px minmax(0,1fr) 176px 176px;gap:4px 18px;background:var(--paper);
border:1px solid var(--line);border-left:6px solid var(--line);border-radius:8px;padding:12px 16px;cursor:pointer}
.row:hover{border-color:#aeb9c4}
.row.high,.row.high:hover{border-left-color:var(--high)}
.row.medium,.row.medium:hover{border-left-color:#d99a00}
.row.low,.row.low:hover{border-left-color:var(--low)}
.row.acknowledged{background:#fafbfc}
.row.resolved{border-left-color:#9aa7b3!important}
.prio{display:flex;align-items:center;gap:6px;align-self:start;font-weight:700;font-size:15px}
.prio .q-icon{font-size:22px}
.prio.high{color:var(--high)}.prio.medium{color:var(--medium)}.prio.low{color:var(--low)}
.headline{display:flex;flex-wrap:wrap;align-items:baseline;gap:2px 10px}
.open{font:inherit;font-size:16px;font-weight:700;color:var(--ink);background:none;border:0;padding:0;cursor:pointer;
text-align:left}
.open:hover{text-decoration:underline}
.age{color:var(--soft);font-size:14px}
.title{font-weight:500;margin-top:1px}
.why{margin:3px 0 0;padding:0 0 0 18px;color:#34424f}
.mark{display:inline-flex;align-items:center;gap:4px;font-size:12.5px;font-weight:600;border:1px solid #c5ced6;
background:#eef1f4;border-radius:4px;padding:0 6px;color:#3c4955}
.times{font-size:14px;color:var(--soft)}
.times b{color:var(--ink);font-weight:600}
.acts{display:flex;flex-direction:column;align-items:flex-end;gap:4px;font-size:14px;text-align:right}
.acts .q-btn{min-height:36px}
.acked{color:var(--ok);font-weight:600}
.waiting{color:var(--soft)}
.late-ack{color:var(--high);font-weight:600}
.foot{border-top:1px solid var(--line);color:var(--soft);font-size:13px;padding:14px 0 20px;margin-top:auto}
.foot .wrap{display:flex;gap:6px 24px;flex-wrap:wrap;justify-content:space-between}
.foot form{display:inline}
.foot button{font:inherit;background:none;border:0;padding:0;color:var(--accent);cursor:pointer;text-decoration:underline}
.q-dialog .sheet{width:min(940px,96vw);max-width:96vw;max-height:92vh;padding:0;gap:0;border-radius:10px;
display:flex;flex-direction:column;flex-wrap:nowrap;overflow:hidden}
.sheet .head{display:flex;align-items:flex-start;gap:14px;padding:16px 20px;border-bottom:1px solid var(--line);width:100%}
.sheet .head h2{font-size:19px;line-height:1.25;font-weight:700;margin:0}
.sheet .body{overflow:auto;padding:4px 20px 18px;width:100%}
.sheet h3{font-size:14px;line-height:1.3;font-weight:700;margin:16px 0 4px}
.sheet .chart{width:100%;height:270px}
.sheet .facts{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:3px 16px;margin:0;font-size:14px}
.facts dt{color:var(--soft)}.facts dd{margin:0;overflow-wrap:anywhere}
.sheet .caption{color:var(--soft);font-size:13px}
.sheet .steps{list-style:none;margin:0;padding:0;font-size:14px}
.steps li{display:grid;grid-template-columns:118px minmax(0,1fr);gap:14px;padding:5px 0;border-top:1px solid #e9edf0}
.steps li:first-child{border-top:0}
.steps time{color:var(--soft);font-variant-numeric:tabular-nums}
.ask{width:min(430px,94vw);gap:10px;padding:20px}
.ask h2{font-size:18px;line-height:1.25;font-weight:700;margin:0}
@media (max-width:900px){.row{grid-template-columns:minmax(0,1fr) auto}
.row .prio{grid-column:1}.row .main{grid-column:1/-1}.row .times{grid-column:1/-1;display:flex;gap:2px 14px;flex-wrap:wrap}
.row .times br{display:none}
.row .acts{grid-column:1/-1;align-items:stretch;text-align:left}}
@media (max-width:600px){.wrap{padding:0 12px}.bar{padding:10px 0;gap:4px 12px}.bar .sub{display:none}
.top{position:static}.chip{flex:1;justify-content:center;padding:5px 6px}.tab{flex:1 1 auto;justify-content:center}
.q-dialog__inner--minimized{padding:0}
.q-dialog .sheet{width:100vw;max-width:100vw;height:100dvh;max-height:100dvh;border-radius:0}
.sheet .head,.sheet .body{padding-left:14px;padding-right:14px}.sheet .chart{height:230px}
.steps li{grid-template-columns:1fr;gap:0}}
@media (prefers-reduced-motion:reduce){*{transition:none!important;animation:none!important}}
"""
