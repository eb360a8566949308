"""The login page. It is plain HTML without script, so it works before anything else is allowed."""

from __future__ import annotations

from html import escape
from string import Template

INTENDED_USE = (
    "Informs trained staff who can see the inputs and the rule. "
    "Not for emergencies, not a bedside monitor, not cleared as a medical device."
)

_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in - rpm-stream</title><link rel="icon" href="data:,">
<style>
body{margin:0;min-height:100vh;display:flex;align-items:center;justify-content:center;background:#f3f5f7;
color:#1b2733;font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{box-sizing:border-box;width:min(26rem,calc(100vw - 2rem));background:#fff;
border:1px solid #d9dfe5;border-radius:10px;padding:2rem}
h1{font-size:1.25rem;margin:0 0 .25rem}
p{margin:0 0 1.25rem;color:#51606e}
label{display:block;font-weight:600;margin-bottom:.35rem}
input{box-sizing:border-box;width:100%;font:inherit;padding:.6rem .7rem;
border:1px solid #8b98a5;border-radius:6px}
input:focus-visible,button:focus-visible{outline:3px solid #1f5fbf;outline-offset:2px}
button{margin-top:1rem;width:100%;font:inherit;font-weight:600;padding:.65rem;border:0;border-radius:6px;
background:#1f5fbf;color:#fff;cursor:pointer}
.wrong{color:#a4161a;font-weight:600;margin:.75rem 0 0}
footer{margin-top:1.5rem;font-size:.8rem;color:#51606e}
</style></head><body><main>
<h1>Alerts</h1><p>Remote patient monitoring</p>
<form method="post" action="/login" autocomplete="off">
<label for="token">Access token</label>
<input id="token" name="token" type="password" required autofocus autocomplete="current-password">
$message<button type="submit">Sign in</button></form>
<footer>$use</footer></main></body></html>""")


def login_html(message: str = "") -> str:
    """Return the page. ``message`` describes the fault of the last try."""
    shown = f'<p class="wrong" role="alert">{escape(message)}</p>' if message else ""
    return _PAGE.substitute(message=shown, use=escape(INTENDED_USE))
