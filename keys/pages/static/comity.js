"use strict";
/* What pages do better with a script: every page reads and every act works without it. Texts come from the page. */

/* The desk of this page, and whether it is still there. Where its address is new at each start, what answers here after
   it was stopped is another program: that one is asked nothing more, and sent nothing that was typed. */
const desk = (() => {
  const notice = document.getElementById("away"), mark = document.querySelector('meta[name="comity-there"]')?.content;
  const pages = notice && window.BroadcastChannel ? new BroadcastChannel("comity-away") : { postMessage() {} };
  let away = false;
  const leave = () => {
    if (away) return;
    away = true;
    notice.hidden = false;
    document.dispatchEvent(new CustomEvent("comity:away"));
  };
  pages.onmessage = leave;
  /* What this start said to the page, it alone can say again. No cookie goes along. */
  const still = async () => {
    if (!notice) return true;
    if (away) return false;
    try {
      const said = await fetch("/there", {
        cache: "no-store", credentials: "omit", redirect: "error", signal: AbortSignal.timeout(15_000),
      });
      if (said.ok && await said.text() === mark) return true;
    } catch { /* nobody answers, or not in time */ }
    leave();
    pages.postMessage("away");
    return false;
  };
  const stop = (event) => {
    if (!away) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (event.target.getAttribute?.("action") === "/lock") document.dispatchEvent(new CustomEvent("comity:hide"));
    else notice.focus();
  };
  /* A passphrase goes to this desk alone: it is looked before, each time. */
  let looked = null;
  const look = async (event) => {
    const form = event.target;
    if (away || !form.querySelector?.('input[type="password"]')) return;
    if (looked === form) { looked = null; return; }
    event.preventDefault();
    event.stopImmediatePropagation();
    if (await still()) { looked = form; form.requestSubmit(event.submitter); } else notice.focus();
  };
  if (notice) {
    const leads = (event) => { if (event.target.closest?.('a[href]:not([href^="#"]), button[data-passkey]')) stop(event); };
    addEventListener("submit", stop, true);
    addEventListener("submit", look, true);
    addEventListener("click", leads, true);
    addEventListener("auxclick", leads, true);
    document.addEventListener("htmx:beforeRequest", (event) => { if (away) event.preventDefault(); });
  }
  return { still, isNew: notice !== null, get away() { return away; } };
})();

(() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content;
  /* What goes along with a page that is left must be small: a browser sends no more than 64 KB so. */
  const mostLeft = 60_000;
  const post = (path, fields, headers = {}) => {
    const body = new URLSearchParams(fields);
    const keepalive = body.toString().length < mostLeft;
    return fetch(path, { method: "POST", body, credentials: "same-origin", redirect: "manual", keepalive, headers });
  };

  /* A page that the browser kept is asked for again: it may be locked by now. */
  addEventListener("pageshow", async (shown) => { if (shown.persisted && await desk.still()) location.reload(); });

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

  /* Who goes back to a form finds there what they typed. The key goes with it under which it was sent: the page's place in
     the history keeps that, and sent again it is the same. A new request is begun anew. */
  const keys = () => history.state?.once ?? {};
  all('form:not([action="/new"]) input[name="once"]').forEach((key) => { key.value = keys()[key.form.getAttribute("action")] ?? key.value; });
  document.addEventListener("submit", (sent) => {
    const key = sent.target.elements?.namedItem("once");
    const once = key && { ...keys(), [sent.target.getAttribute("action")]: key.value };
    if (once) history.replaceState({ ...history.state, once }, "");
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
  /* By which a page says that it is the same tab as before; nothing that was typed is put down in the browser. */
  const tab = (() => {
    try { return sessionStorage.comityTab ??= [...crypto.getRandomValues(new Uint8Array(8))].map((one) => one.toString(16)).join(""); } catch { return ""; }
  })();
  /* A page that is left gives what is typed on it to the desk, and has it again when one comes back to it. */
  const leftForms = (but) => all('main form[method="post"]:not([data-saves])').filter((form) => form !== but && changed(form));
  if (meta("comity-keep")) {
    let sentForm = null;
    document.addEventListener("submit", (sent) => { sentForm = sent.target; setTimeout(() => { if (sent.defaultPrevented) sentForm = null; }, 0); });
    addEventListener("pagehide", () => desk.away || leftForms(sentForm).forEach((form) => {
      post("/kept", [["_token", meta("comity-keep")], ["_action", form.getAttribute("action")], ["_back", here], ["_tab", tab], ...typed(form)]).catch(() => {});
    }));
    addEventListener("beforeunload", (event) => {
      if (leftForms(sentForm).some((form) => new URLSearchParams(typed(form)).toString().length >= mostLeft - 1_000)) event.preventDefault();
    });
  }
  const reach = (is) => document.dispatchEvent(new CustomEvent("comity:reach", { detail: is }));
  if (idle) {
    let last = Date.now(), saidAt = Date.now(), toldAt = 0, locking = false;
    /* All pages of a desk are one session: an officer at work on one of them is there, and locking one locks them all. */
    const pages = window.BroadcastChannel ? new BroadcastChannel("comity-session") : { postMessage() {} };
    const tellPages = (what) => pages.postMessage(what);
    pages.onmessage = ({ data }) => { if (data === "lock") lock(); else last = Date.now(); };
    const noted = () => {
      last = Date.now();
      if (last - toldAt >= 1_000) { toldAt = last; tellPages("here"); }
      if (desk.away || last - saidAt < Math.min(60_000, idle * 250)) return;
      saidAt = last;
      post("/here", { _token: meta("comity-here") }).then(() => reach(true), () => { reach(false); desk.still(); });
    };
    ["keydown", "pointerdown", "wheel"].forEach((kind) => addEventListener(kind, noted, { passive: true }));
    tellPages("here");
    const hide = (cover) => {
      document.getElementById(cover)?.removeAttribute("hidden");
      [...document.body.children].forEach((part) => { if (part.id !== cover) part.hidden = true; });
    };
    /* Nothing can be unlocked here any more: what was typed is shown to whoever asks for it, and nothing else. The desk
       is gone (away-hidden), or it began anew under its own address and knows nobody (forgotten). */
    const hideForGood = (cover = "away-hidden") => {
      const button = document.querySelector(`#${cover} [data-typed]`);
      const left = all("main form").flatMap((form) => [...form.elements]).filter((one) =>
        one.matches("textarea, input:not([type=hidden], [type=password], [type=checkbox], [type=radio], [type=file])")
        && one.value !== one.defaultValue);
      button.hidden = !left.length;
      button.onclick = () => {
        button.hidden = true;
        left.forEach((one) => {
          const name = document.createElement("label"), shown = document.createElement("textarea");
          [name.textContent, shown.value, shown.readOnly] = [one.labels?.[0]?.textContent ?? one.name, one.value, true];
          name.append(shown);
          button.parentElement.append(name);
        });
      };
      hide(cover);
    };
    document.addEventListener("comity:hide", () => hideForGood());
    const lock = async () => {
      if (locking) return;
      locking = true;
      if (!(await desk.still())) { hideForGood(); locking = false; return; }
      const forms = all('main form[method="post"]').filter(changed);
      const given = (form, token) => [
        ["_token", token], ["_action", form?.getAttribute("action") ?? ""], ["_back", here], ["_tab", tab], ...(form ? typed(form) : []),
      ];
      /* A desk that cannot be reached locks nothing: the page hides what it shows, and keeps it until the desk has it. */
      let said;
      try {
        for (const form of forms.slice(1)) await post("/kept", given(form, meta("comity-keep")));
        const answer = await post("/lock", given(forms[0], meta("comity-lock")), { Accept: "application/json" });
        /* Of somebody whom the desk does not know it takes no long form. */
        said = answer.status === 413 ? { known: false } : await answer.json();
      } catch {
        hide("hidden-now");
        locking = false;
        setTimeout(lock, 3_000);
        return;
      }
      tellPages("lock");
      if (said.known === false && forms.length) { hideForGood("forgotten"); return; }
      delete document.documentElement.dataset.unsaved;
      location.assign(said.go);
    };
    all('form[action="/lock"]').forEach((form) => form.addEventListener("submit", (sent) => { sent.preventDefault(); lock(); }));
    setInterval(() => { if (Date.now() - last >= idle * 1000) { last = Infinity; lock(); } }, 1_000);
    /* The session has another cookie since it was unlocked on another page; else it has ended, and what is typed waits. */
    document.addEventListener("comity:ended", async (ended) => {
      if (!(await desk.still())) return;
      const said = await post("/here", { _token: meta("comity-here") }).catch(() => null);
      if (said?.ok) ended.detail(); else lock();
    });
  }

  /* A page that asks for the passphrase goes back by itself where the officer gave it on another. */
  if (window.BroadcastChannel && document.querySelector('form[action="/unlock"]')) {
    new BroadcastChannel("comity-session").onmessage = ({ data }) => { if (data === "here" && !desk.away) location.reload(); };
  }

  /* What was typed before stands in its form again: one is told so first. */
  document.getElementById("kept-back")?.focus();

  /* Passkeys: what the authenticator computes goes to the desk, and is kept nowhere. */
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (one) => one.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const prfOf = (made) => {
    const first = made.getClientExtensionResults().prf?.results?.first;
    return first ? text(first) : "";
  };
  const sent = async (path, fields) => {
    const said = await fetch(path, { method: "POST", body: new URLSearchParams(fields), credentials: "same-origin" });
    if (!said.ok) throw new Error(path);
    return said.json();
  };
  const asked = async (path, token) => {
    if (!(await desk.still())) throw new Error(path);
    const options = await sent(path, { _token: token });
    options.challenge = bytes(options.challenge);
    options.extensions.prf.eval.first = bytes(options.extensions.prf.eval.first);
    if (options.user) options.user.id = bytes(options.user.id);
    for (const list of ["excludeCredentials", "allowCredentials"]) options[list]?.forEach((one) => { one.id = bytes(one.id); });
    return options;
  };
  const shownAs = (made, response) => JSON.stringify({ id: made.id, rawId: text(made.rawId), type: made.type, clientExtensionResults: {}, response });
  const signIn = async (button) => {
    const options = await asked("/sign-in/passkey/ask", button.dataset.askToken);
    const made = await navigator.credentials.get({ publicKey: options });
    const given = {
      authenticatorData: text(made.response.authenticatorData), clientDataJSON: text(made.response.clientDataJSON),
      signature: text(made.response.signature), userHandle: made.response.userHandle ? text(made.response.userHandle) : null,
    };
    const said = await sent("/sign-in/passkey", {
      _token: button.dataset.token, back: button.dataset.back ?? "", at: button.dataset.at ?? "", answer: shownAs(made, given), output: prfOf(made),
    });
    if (said.go) { location.assign(said.go); return; }
    const form = document.querySelector('form[action="/sign-in"]');
    form.elements.half.value = said.half;
    form.elements.officer.value = said.officer;
    document.querySelector("[data-passkey-half]").hidden = false;
    form.elements.passphrase.focus();
  };
  const add = async (button) => {
    const options = await asked("/settings/passkeys/ask", button.dataset.askToken);
    const made = await navigator.credentials.create({ publicKey: options });
    let output = prfOf(made);
    if (!output && made.getClientExtensionResults().prf?.enabled) {
      /* Some authenticators compute only when they sign in. */
      const again = await navigator.credentials.get({ publicKey: {
        challenge: crypto.getRandomValues(new Uint8Array(32)), rpId: options.rp.id, userVerification: "required",
        allowCredentials: [{ type: "public-key", id: made.rawId }], extensions: { prf: options.extensions.prf },
      } });
      output = prfOf(again);
    }
    const given = { attestationObject: text(made.response.attestationObject), clientDataJSON: text(made.response.clientDataJSON) };
    const said = await sent("/settings/passkeys", {
      _token: button.dataset.token, name: document.getElementById("name").value, answer: shownAs(made, given), output,
    });
    location.assign(said.go);
  };
  all("button[data-passkey]").forEach((button) => {
    if (!window.PublicKeyCredential) { button.hidden = true; return; }
    button.addEventListener("click", async () => {
      const refused = document.querySelector("[data-passkey-refusal]");
      refused.hidden = true;
      button.disabled = true;
      try { await (button.dataset.passkey === "add" ? add : signIn)(button); } catch {
        refused.hidden = false;
        document.querySelector("[data-other-way]")?.setAttribute("open", "");
      }
      button.disabled = false;
    });
  });
})();

/* What is wrong with a field is said of what stood in it: once that is changed it is said no more, until it is judged anew. */
document.addEventListener("input", ({ target }) => {
  const part = target.closest("fieldset");
  const errors = [target.id && document.getElementById(`${target.id}-error`), part?.querySelector(":scope > .field-error")];
  errors.forEach((error) => { if (error) error.hidden = true; });
  target.removeAttribute("aria-invalid");
  part?.removeAttribute("data-wrong");
});

/* Live: one page of a browser listens, and tells the others; the board asks for its lanes anew, a new emergency rings. */
(() => {
  const ring = document.querySelector("[data-events]");
  if (!ring || !navigator.locks || !window.BroadcastChannel) return;
  const board = document.querySelector("[data-board]");
  const state = document.querySelector("[data-live-state]");
  const said = document.querySelector("[data-board-said]");
  const title = document.title;
  const seenKey = "comity-emergencies";
  /* Which emergencies this tab was told, or shown by a page of its own; null before either. Each rings once. */
  const standing = ring.dataset.emergencies?.split(" ").filter(Boolean) ?? null;
  let known = (() => { try { return JSON.parse(sessionStorage.getItem(seenKey)); } catch { return null; } })();
  const know = (emergencies) => {
    known = emergencies;
    try { sessionStorage.setItem(seenKey, JSON.stringify(known)); } catch { /* a browser that keeps nothing */ }
  };
  /* What stood on the page when it was made is no news. What came since then is, before the stream's first word too. */
  if (known === null && standing && document.getElementById("lane-emergencies")) know(standing);
  const live = (on) => { if (state) { state.textContent = on ? state.dataset.on : state.dataset.off; state.className = on ? "" : "soon"; } };

  let asking = false, again = false;
  const refresh = async () => {
    if (!board || desk.away) return;
    if (asking) { again = true; return; }
    asking = true;
    try {
      const answer = await fetch(board.dataset.board, { credentials: "same-origin", redirect: "manual", cache: "no-store" });
      if (answer.type === "opaqueredirect" || answer.status === 401) { location.reload(); return; }
      if (!answer.ok) return;
      const made = await answer.text();
      const held = board.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      board.innerHTML = made;
      const anew = board.querySelector("[data-anew]"), status = document.querySelector(".bar + .status");
      if (anew && status) status.replaceWith(...anew.children);
      anew?.remove();
      if (held) board.querySelector(`a[href="${CSS.escape(held)}"]`)?.focus();
    } catch { /* the stream says that the connection is gone */ } finally {
      asking = false;
      if (again) { again = false; refresh(); }
    }
  };

  /* Three short tones, made here: nothing is fetched for them. A browser lets a page sound after a key or a click. */
  let audio = null;
  const ready = () => { try { audio ??= new AudioContext(); audio.resume(); } catch { /* a browser without sound */ } };
  const sound = () => {
    if (!ring.dataset.sound) return;
    ready();
    if (audio) [0, 0.35, 0.7].forEach((at) => {
      const tone = audio.createOscillator(), volume = audio.createGain();
      tone.frequency.value = 880;
      volume.gain.value = 0.25;
      tone.connect(volume).connect(audio.destination);
      tone.start(audio.currentTime + at);
      tone.stop(audio.currentTime + at + 0.2);
    });
  };

  let unseen = 0;
  const badge = () => { document.title = unseen ? `(${unseen}) ${ring.dataset.new} · ${title}` : title; };
  ["pointerdown", "keydown"].forEach((kind) => addEventListener(kind, () => { ready(); unseen = 0; badge(); }));

  /* The page that listens knows what is new: another may have been opened only just now. */
  const fresh = (emergencies) => emergencies.filter((one) => !known?.includes(one)).length;
  document.addEventListener("comity:away", () => { live(false); if (state) state.textContent = state.dataset.away; });
  const hear = (message, mine) => {
    if (desk.away) return;
    if (message.ended) {
      if (!document.querySelector('meta[name="comity-idle"]')) desk.still().then((is) => { if (is) location.reload(); });
      else document.dispatchEvent(new CustomEvent("comity:ended", { detail: mine ? listen : () => {} }));
      return;
    }
    live(message.live);
    document.dispatchEvent(new CustomEvent("comity:reach", { detail: message.live }));
    if (!message.emergencies) return;
    know(message.emergencies);
    if (message.fresh) {
      unseen += message.fresh;
      badge();
      if (said) said.textContent = said.dataset.text;
      if (mine) sound();
    }
    refresh();
  };
  const others = new BroadcastChannel("comity-live");
  others.onmessage = (event) => hear(event.data, false);
  const tell = (message) => { others.postMessage(message); hear(message, true); };

  const listen = () => {
    const stream = new EventSource(ring.dataset.events);
    stream.addEventListener("open", () => tell({ live: true }));
    stream.addEventListener("board", (event) => {
      const { emergencies } = JSON.parse(event.data);
      tell({ live: true, emergencies, fresh: fresh(emergencies) });
    });
    stream.addEventListener("ended", () => { stream.close(); tell({ ended: true }); });
    stream.addEventListener("error", () => {
      tell({ live: false });
      if (desk.isNew) {
        /* The browser would try again by itself, whoever listens there now. */
        stream.close();
        desk.still().then((is) => { if (is) setTimeout(async () => { if (await desk.still()) listen(); }, 5_000); });
        return;
      }
      /* The browser tries again by itself; where it was refused, this asks whether the session is known at all. */
      if (stream.readyState === EventSource.CLOSED) setTimeout(async () => {
        const stop = new AbortController();
        const answer = await fetch(ring.dataset.events, {
          headers: { Accept: "text/event-stream" }, credentials: "same-origin", redirect: "manual", signal: stop.signal,
        }).catch(() => null);
        stop.abort();
        if (answer?.status === 401) tell({ ended: true }); else listen();
      }, 5_000);
    });
    addEventListener("pagehide", () => stream.close());
  };
  /* A browser has few connections to a desk: whoever holds the lock listens for all its pages, until that page goes. */
  navigator.locks.query().then((found) => {
    if (found.held.some((one) => one.name === "comity-live")) {
      /* Where another page listens, it rang for what there is, and nothing tells this one how things are until something
         changes. */
      if (standing) know(standing);
      live(true);
      refresh();
    }
    return navigator.locks.request("comity-live", () => new Promise(() => listen()));
  });
})();

/* Files on their way: how far they are. What the answer shows takes the place of the page; without script the form goes
   as any other. */
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!(form instanceof HTMLFormElement) || !("upload" in form.dataset)) return;
  event.preventDefault();
  const bar = form.querySelector("progress");
  const button = form.querySelector("button");
  const request = new XMLHttpRequest();
  const over = () => { bar.hidden = true; button.disabled = false; };
  request.open("POST", form.action);
  request.upload.addEventListener("progress", (sent) => {
    bar.max = sent.total;
    bar.value = sent.loaded;
  });
  request.addEventListener("load", () => {
    const main = new DOMParser().parseFromString(request.responseText, "text/html").querySelector("main");
    if (main === null) { over(); return; }
    document.querySelector("main").replaceWith(document.adoptNode(main));
    document.querySelector("#refusal, #files")?.scrollIntoView();
  });
  request.addEventListener("error", () => {
    over();
    form.querySelector("[data-failed]").hidden = false;
    desk.still();
  });
  bar.hidden = false;
  button.disabled = true;
  request.send(new FormData(form));
});

/* A desk that cannot be reached: nothing that was typed is lost. A draft that saves itself says that it did not, and
   tries again; a form that is sent stays where it is, and says so; leaving asks first. */
(() => {
  const root = document.documentElement;
  const unsent = document.getElementById("unsent"), unsaved = document.getElementById("unsaved");
  const draft = document.querySelector("form[data-saves]");
  const icon = document.querySelector('link[rel="icon"]').href;
  let gone = false, failures = 0, later = 0, typed = 0, sending = 0, saved = 0, leaving = false;
  document.addEventListener("comity:reach", (told) => { gone = !told.detail; });
  const asked = async () => {
    if (desk.isNew) { gone = !(await desk.still()); return !gone; }
    try { gone = !(await fetch(icon, { cache: "no-store", credentials: "same-origin" })).ok; } catch { gone = true; }
    return !gone;
  };
  const say = (element, text) => { if (element) { element.textContent = text; element.hidden = !text; } };

  const again = async () => { clearTimeout(later); if (failures && await desk.still()) window.htmx.trigger(draft, "again"); };
  const fail = (text) => {
    failures += 1;
    root.dataset.unsaved = "";
    say(unsaved, text);
    clearTimeout(later);
    later = setTimeout(again, Math.min(30_000, 1_000 * 2 ** Math.min(failures, 5)));
  };
  if (draft && unsaved) {
    draft.addEventListener("input", () => { typed += 1; });
    draft.addEventListener("htmx:beforeRequest", () => { sending = typed; });
    ["htmx:sendError", "htmx:timeout"].forEach((kind) => draft.addEventListener(kind, () => { gone = true; fail(unsaved.dataset.unreached); desk.still(); }));
    draft.addEventListener("htmx:responseError", () => fail(unsaved.dataset.refused));
    draft.addEventListener("htmx:afterRequest", (done) => {
      if (!done.detail.successful) return;
      [failures, gone, saved] = [0, false, sending];
      clearTimeout(later);
      delete root.dataset.unsaved;
      say(unsaved, "");
    });
    addEventListener("online", again);
    /* What was typed in the last moment goes with the page that is left. */
    addEventListener("pagehide", () => {
      if (desk.away || leaving === draft || typed === saved) return;
      const fields = new URLSearchParams([...new FormData(draft), ["quiet", "1"]].filter(([, value]) => typeof value === "string"));
      fetch(draft.getAttribute("action"), { method: "POST", body: fields, credentials: "same-origin", redirect: "manual", keepalive: true }).catch(() => {});
    });
  }
  addEventListener("beforeunload", (event) => { if ("unsaved" in root.dataset && !leaving) event.preventDefault(); });

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (event.defaultPrevented || form.method !== "post") return;
    if (leaving === form || (!gone && navigator.onLine && !("unsaved" in root.dataset))) { leaving = form; return; }
    event.preventDefault();
    if (await asked()) {
      leaving = form;
      say(unsent, "");
      form.requestSubmit(event.submitter);
    } else {
      say(unsent, unsent?.dataset.text ?? "");
      unsent?.focus();
    }
  });
})();
