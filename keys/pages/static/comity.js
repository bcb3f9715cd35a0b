"use strict";
/* What pages do better with a script: every page reads and every act works without it. Texts come from the page. */
(() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content;
  const post = (path, fields) => fetch(path, {
    method: "POST", body: new URLSearchParams(fields), credentials: "same-origin", redirect: "manual", keepalive: true,
  });

  /* A page that the browser kept is asked for again: it may be locked by now. */
  addEventListener("pageshow", (shown) => { if (shown.persisted) location.reload(); });

  /* A refusal, or what was done, is where one begins to read. */
  (document.getElementById("refusal") ?? document.getElementById("done"))?.focus();

  /* Clocks go on. */
  const tick = () => all("time[data-clock]").forEach((clock) => {
    const now = new Date(Date.now() + skew);
    const zone = clock.dataset.clock;
    try {
      clock.textContent = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: zone }).format(now);
      clock.dateTime = now.toISOString();
    } catch { /* a zone that this browser does not know stands still */ }
  });
  /* The desk's clock counts, not that of the browser's machine. */
  const told = meta("comity-now");
  const skew = told ? Date.parse(told) - Date.now() : 0;
  if (document.querySelector("time[data-clock]")) setInterval(tick, 10_000);

  /* Copying an id whole. */
  all("button[data-copy]").forEach((button) => {
    if (!navigator.clipboard) return;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = button.dataset.copied;
    });
  });

  /* What needs a script is shown where there is one. */
  all("[data-script]").forEach((part) => { part.hidden = false; });

  /* Keys: an element names its own, such as "/" or "g b". */
  const keyed = new Map(all("[data-key]").map((one) => [one.dataset.key, one]));
  let before = "";
  addEventListener("keydown", (pressed) => {
    const typing = pressed.target.closest?.("input, textarea, select, [contenteditable]");
    if (typing || pressed.ctrlKey || pressed.altKey || pressed.metaKey || pressed.isComposing) return;
    const found = keyed.get(`${before} ${pressed.key}`) ?? keyed.get(pressed.key);
    before = found ? "" : pressed.key;
    if (!found) return;
    pressed.preventDefault();
    if (found.matches("input, textarea, select")) found.focus();
    else found.click();
  });

  /* Locking when nobody is there: what was typed goes to the desk first, and comes back when the officer does. */
  const idle = Number(meta("comity-idle") ?? 0);
  const typed = (form) => [...new FormData(form)].filter(([name, value]) => {
    const kinds = all(`[name="${CSS.escape(name)}"]`).filter((one) => one.form === form).map((one) => one.type);
    return typeof value === "string" && name !== "_token" && !kinds.includes("password");
  });
  const changed = (form) => [...form.elements].some((one) => one.matches("textarea, input:not([type=hidden])")
    ? one.value !== one.defaultValue || one.checked !== one.defaultChecked : false);
  const here = location.pathname + location.search;
  if (idle) {
    let last = Date.now(), saidAt = Date.now();
    const noted = () => {
      last = Date.now();
      if (last - saidAt < Math.min(60_000, idle * 250)) return;
      saidAt = last;
      post("/here", { _token: meta("comity-here") });
    };
    ["keydown", "pointerdown", "wheel"].forEach((kind) => addEventListener(kind, noted, { passive: true }));
    const lock = async () => {
      const form = all("main form").find(changed);
      const fields = form ? typed(form) : [];
      const kept = [["_token", meta("comity-lock")], ["_action", form?.getAttribute("action") ?? ""], ["_back", here]];
      try { await post("/lock", [...kept, ...fields]); } finally { location.assign(`/unlock?${new URLSearchParams({ back: here })}`); }
    };
    setInterval(() => { if (Date.now() - last >= idle * 1000) { last = Infinity; lock(); } }, 1_000);
  }

  /* What was typed before the lock comes back into its form. */
  const kept = document.getElementById("kept");
  if (kept && kept.dataset.back === here) {
    const form = all("main form").find((one) => one.getAttribute("action") === kept.dataset.action);
    if (form) {
      const left = new Map();
      JSON.parse(kept.dataset.fields).forEach(([name, value]) => left.set(name, [...(left.get(name) ?? []), value]));
      [...form.elements].forEach((one) => {
        if (!one.name || one.type === "hidden" || one.type === "file") return;
        const values = left.get(one.name) ?? [];
        if (one.type === "checkbox" || one.type === "radio") one.checked = values.includes(one.value);
        else if (values.length) one.value = values.shift();
      });
      post("/kept/forget", { _token: meta("comity-kept") });
      kept.hidden = true;
      const said = document.getElementById("kept-back");
      if (said) { said.hidden = false; said.focus(); }
    }
  }
})();
