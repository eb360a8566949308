"""The look of the page. Every priority has a word and an icon besides its colour."""

from __future__ import annotations

from rpm_stream.records import Priority

ICONS: dict[Priority, str] = {"high": "error", "medium": "warning", "low": "info"}
WORDS: dict[Priority, str] = {"high": "High", "medium": "Medium", "low": "Low"}
COLOURS: dict[Priority, str] = {"high": "#b3161b", "medium": "#8a5a00", "low": "#1f5fbf"}

CSS = """
:root{--ink:#17222d;--soft:#51606e;--line:#d9dfe5;--paper:#fff;--ground:#f3f5f7;--accent:#1f5fbf;
--high:#b3161b;--high-bg:#fdecec;--medium:#8a5a00;--medium-bg:#fff3d6;--low:#1f5fbf;
--low-bg:#e9f1fc;--ok:#1c6b3c}
body{background:var(--ground);color:var(--ink);
font:15px/1.45 Roboto,system-ui,-apple-system,"Segoe UI",sans-serif}
.nicegui-content{padding:0;gap:0;align-items:stretch;min-height:100vh}
*:focus-visible{outline:3px solid var(--accent)!important;outline-offset:2px}
.r-top{background:var(--paper);border-bottom:1px solid var(--line);position:sticky;top:0;z-index:5}
.r-wrap{width:100%;max-width:1180px;margin:0 auto;padding:0 20px;box-sizing:border-box}
.r-bar{display:flex;align-items:center;gap:12px 20px;flex-wrap:wrap;padding:12px 0}
.r-bar h1{font-size:20px;line-height:1.2;font-weight:700;margin:0;letter-spacing:-.01em}
.r-bar .r-sub{color:var(--soft);font-size:13px}
.r-grow{flex:1}
.r-judged{display:flex;align-items:center;gap:6px;font-size:14px;color:var(--ok);font-weight:500;
font-variant-numeric:tabular-nums}
.r-judged.bad{color:var(--high);font-weight:700}
.r-alarm{background:var(--high);color:#fff;font-weight:600}
.r-alarm .r-wrap{display:flex;flex-wrap:nowrap;align-items:center;gap:10px;padding-top:10px;
padding-bottom:10px}
.r-tools{display:flex;align-items:center;gap:8px 10px;flex-wrap:wrap;padding:0 0 12px}
.r-chip,.r-tab{font:inherit;font-size:14px;display:inline-flex;align-items:center;gap:6px;
border:1px solid var(--line);
background:var(--paper);color:var(--ink);border-radius:999px;padding:5px 12px;cursor:pointer;
min-height:34px}
span.r-chip{cursor:default}
.r-find{padding-top:0}.r-find .q-input{flex:1 1 220px;max-width:340px}
.r-find .q-select{flex:0 1 220px;min-width:150px}
.r-chip b{font-variant-numeric:tabular-nums;font-size:15px}
.r-chip .q-icon{font-size:18px}
.r-chip[aria-pressed=false]{opacity:.62;text-decoration:line-through}
.r-chip.high{border-color:#eab4b6;background:var(--high-bg);color:var(--high)}
.r-chip.medium{border-color:#ecd38f;background:var(--medium-bg);color:var(--medium)}
.r-chip.low{border-color:#b9d0f0;background:var(--low-bg);color:var(--low)}
.r-tab{border-radius:6px;border-color:transparent;color:var(--soft);font-weight:500}
.r-tab[aria-pressed=true]{background:#e4eaf1;color:var(--ink)}
.r-list{display:flex;flex-direction:column;gap:8px;padding:16px 0 24px}
.r-note{color:var(--soft);padding:44px 0;text-align:center;font-size:16px}
.r-note .q-icon{font-size:34px;display:block;margin:0 auto 8px;color:var(--ok)}
.r-hidden-note{display:flex;align-items:center;gap:10px;background:#e4eaf1;border-radius:8px;
padding:8px 14px;
margin-top:14px}
.r-row{display:grid;grid-template-columns:104px minmax(0,1fr) 206px 212px;gap:4px 18px;
background:var(--paper);
border:1px solid var(--line);border-left:6px solid var(--line);border-radius:8px;padding:12px 16px;
cursor:pointer}
.r-row:hover{border-color:#aeb9c4}
.r-row.high,.r-row.high:hover{border-left-color:var(--high)}
.r-row.medium,.r-row.medium:hover{border-left-color:#d99a00}
.r-row.low,.r-row.low:hover{border-left-color:var(--low)}
.r-row.is-acknowledged{background:#fafbfc}
.r-row.is-resolved{border-left-color:#9aa7b3!important}
.r-prio{display:flex;align-items:center;gap:6px;align-self:start;font-weight:700;font-size:15px}
.r-prio .q-icon{font-size:22px}
.r-prio.high{color:var(--high)}.r-prio.medium{color:var(--medium)}.r-prio.low{color:var(--low)}
.r-headline{display:flex;flex-wrap:wrap;align-items:baseline;gap:2px 10px}
.r-open{font:inherit;font-size:16px;font-weight:700;color:var(--ink);background:none;border:0;
padding:0;cursor:pointer;
text-align:left}
.r-open:hover{text-decoration:underline}
.r-age{color:var(--soft);font-size:14px}
.r-title{font-weight:500;margin-top:1px}
.r-why{margin:3px 0 0;padding:0 0 0 18px;color:#34424f}
.r-mark{display:inline-flex;align-items:center;gap:4px;font-size:12.5px;font-weight:600;
border:1px solid #c5ced6;
background:#eef1f4;border-radius:4px;padding:0 6px;color:#3c4955}
.r-mark.is-escalated{background:var(--high);border-color:var(--high);color:#fff}
.r-mark.is-over{background:var(--paper);border-color:var(--ink);color:var(--ink)}
.is-over .r-mark.is-escalated{background:#eef1f4;border-color:#c5ced6;color:#3c4955}
.r-over{font-weight:600;margin-top:2px}
.r-now{list-style:none;display:flex;flex-wrap:wrap;gap:8px 10px;margin:8px 0 2px;padding:0}
.r-now li{display:flex;flex-direction:column;min-width:150px;max-width:100%;
border:1px solid var(--line);
border-radius:6px;padding:4px 10px 6px;background:var(--paper);font-size:13px;color:var(--soft);
line-height:1.35}
.r-now b{font-size:24px;line-height:1.2;font-weight:700;color:var(--ink);
font-variant-numeric:tabular-nums}
.r-now b.is-words{font-size:16px;line-height:1.35}
.r-now small{font-size:14px;font-weight:500}
.r-now i{font-style:normal;font-weight:700;color:var(--ink)}
.r-now .is-old{border-style:dashed;background:var(--ground)}
.r-now .is-old b{color:var(--soft);font-weight:500}
.r-now .is-old i{color:var(--soft)}
.r-fold{margin:0 0 14px}
.r-fold summary{cursor:pointer;padding:10px 4px;font-weight:600;color:var(--soft);
border-top:1px solid var(--line)}
.r-fold summary div{display:inline}
.r-fold .r-list{padding:4px 0 8px}
.r-times{font-size:14px;color:var(--soft)}
.r-times b{color:var(--ink);font-weight:600}
.r-acts{display:flex;flex-direction:column;align-items:flex-end;gap:4px;font-size:14px;
text-align:right}
.r-acts .q-btn{min-height:36px}
.r-acked{color:var(--ok);font-weight:600}
.r-assigned{color:var(--ink)}
.r-buttons{display:flex;gap:6px;flex-wrap:wrap;justify-content:flex-end}
.r-waiting{color:var(--soft)}
.r-late-ack{color:var(--high);font-weight:600}
.r-foot{border-top:1px solid var(--line);color:var(--soft);font-size:13px;padding:14px 0 20px;
margin-top:auto}
.r-foot .r-wrap{display:flex;gap:6px 24px;flex-wrap:wrap;justify-content:space-between}
.r-foot form{display:inline}
.r-foot button{font:inherit;background:none;border:0;padding:0;color:var(--accent);cursor:pointer;
text-decoration:underline}
.q-dialog .r-sheet{width:min(940px,96vw);max-width:96vw;max-height:92vh;padding:0;gap:0;
border-radius:10px;
display:flex;flex-direction:column;flex-wrap:nowrap;overflow:hidden}
.r-sheet .r-head{display:flex;align-items:flex-start;gap:14px;padding:16px 20px;
border-bottom:1px solid var(--line);
width:100%}
.r-sheet .r-head h2{font-size:19px;line-height:1.25;font-weight:700;margin:0}
.r-sheet .r-body{overflow:auto;padding:4px 20px 18px;width:100%}
.r-sheet h3{font-size:14px;line-height:1.3;font-weight:700;margin:16px 0 4px}
.r-sheet .r-chart{width:100%;height:270px}
.r-sheet .r-facts{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:3px 16px;
margin:0;font-size:14px}
.r-facts dt{color:var(--soft)}.r-facts dd{margin:0;overflow-wrap:anywhere}
.r-sheet .r-caption{color:var(--soft);font-size:13px}
.r-sheet .r-steps{list-style:none;margin:0;padding:0;font-size:14px}
.r-steps li{display:grid;grid-template-columns:118px minmax(0,1fr);gap:14px;padding:5px 0;
border-top:1px solid #e9edf0}
.r-steps li:first-child{border-top:0}
.r-steps time{color:var(--soft);font-variant-numeric:tabular-nums}
.r-decide{display:flex;gap:8px;flex-wrap:wrap;padding:10px 20px;
border-bottom:1px solid var(--line);width:100%;
background:#fafbfc}
.r-decide .q-btn{min-height:36px}
.r-line{width:100%;gap:8px;align-items:center;flex-wrap:nowrap}
.r-says{font-size:13px;color:var(--soft)}
.r-final{font-size:14px;font-weight:600;color:var(--high)}
.r-ask{width:min(430px,94vw);gap:10px;padding:20px}
.r-ask h2{font-size:18px;line-height:1.25;font-weight:700;margin:0}
@media (max-width:900px){.r-row{grid-template-columns:minmax(0,1fr) auto}
.r-row .r-prio{grid-column:1}.r-row .r-main{grid-column:1/-1}
.r-row .r-times{grid-column:1/-1;display:flex;gap:2px 14px;flex-wrap:wrap}
.r-row .r-acts{grid-column:1/-1;flex-direction:row;flex-wrap:wrap;align-items:center}
.r-row .r-acts .q-btn{flex:1}}
@media (max-width:600px){.r-wrap{padding:0 12px}.r-bar{padding:10px 0;gap:4px 12px}
.r-bar .r-sub{display:none}
.r-top{position:static}.r-chip{flex:1;justify-content:center;padding:5px 6px}
.r-tools{gap:8px 4px}.r-tab{flex:1 1 auto;justify-content:center;font-size:12.5px;padding:5px 2px}
.q-dialog__inner--minimized{padding:0}
.q-dialog .r-sheet{width:100vw;max-width:100vw;height:100dvh;max-height:100dvh;border-radius:0}
.r-find .q-input,.r-find .q-select{flex:1 1 140px}.r-buttons{flex:1}
.r-sheet .r-head,.r-sheet .r-body,.r-decide{padding-left:14px;padding-right:14px}
.r-sheet .r-chart{height:230px}
.r-steps li{grid-template-columns:1fr;gap:0}.r-now li{flex:1 1 150px}}
@media (prefers-reduced-motion:reduce){*{transition:none!important;animation:none!important}}
"""
