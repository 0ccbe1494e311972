// Keys, theme, live updates and small conveniences. Every page works without any of it.

const root = document.documentElement;
const announcer = document.getElementById("announcer");

function announce(sentence) {
  if (announcer) announcer.textContent = sentence;
}

// Where there is a decision bar the sentence is shown there, as the server's own refusals are.
function tell(sentence) {
  const alert = document.querySelector(".decision-alert");
  if (alert) alert.textContent = sentence;
  else announce(sentence);
}

// Theme ---------------------------------------------------------------------------------------------------------

function currentTheme() {
  return root.dataset.theme ?? "system";
}

function chooseTheme(theme) {
  if (theme === "system") delete root.dataset.theme;
  else root.dataset.theme = theme;
  try {
    if (theme === "system") localStorage.removeItem("ratify-theme");
    else localStorage.setItem("ratify-theme", theme);
  } catch {
    // Storage can be forbidden; the choice then lasts as long as the page.
  }
  document.dispatchEvent(new CustomEvent("ratify:theme"));
}

function isDark() {
  if (root.dataset.theme) return root.dataset.theme === "dark";
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

for (const button of document.querySelectorAll("[data-theme-toggle]")) {
  button.addEventListener("click", () => chooseTheme(isDark() ? "light" : "dark"));
}

for (const choice of document.querySelectorAll("[data-theme-choice]")) {
  const radio = choice.querySelector(`[value="${currentTheme()}"]`);
  if (radio) radio.checked = true;
  choice.addEventListener("change", (event) => chooseTheme(event.target.value));
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  document.dispatchEvent(new CustomEvent("ratify:theme"));
});

let hasUnsentWork = false;

// Panels, dialogs, menus ----------------------------------------------------------------------------------------

function openPanel(id) {
  const panel = document.getElementById(id);
  if (!panel) return;
  panel.open = true;
  for (const other of document.querySelectorAll(".work-panel[open]")) {
    if (other !== panel) other.open = false;
  }
  const field = panel.querySelector("textarea, input:not([type=hidden])");
  field?.focus({ preventScroll: true });
  panel.scrollIntoView({ block: "center" });
}

function closePanel(id) {
  const panel = document.getElementById(id);
  if (!panel) return;
  panel.open = false;
  hasUnsentWork = false;
  panel.querySelector("summary")?.focus();
}

document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-opens], [data-closes], [data-opens-dialog]");
  for (const menu of document.querySelectorAll("[data-menu][open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
  if (!target) return;
  const { opens, closes, opensDialog } = target.dataset;
  if (opens) {
    event.preventDefault();
    openPanel(opens);
  }
  if (closes) closePanel(closes);
  if (opensDialog) document.getElementById(opensDialog)?.showModal();
});

// "Use this text": the draft goes into the editor without leaving the page.
document.addEventListener("submit", (event) => {
  const form = event.target.closest("[data-uses-text]");
  if (!form) return;
  const panel = document.getElementById(form.dataset.usesText);
  const field = panel?.querySelector("textarea[name=text]");
  if (!field) return;
  event.preventDefault();
  field.value = form.querySelector("[data-text]").value;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  openPanel(panel.id);
});

// Without permission to write to the clipboard the text is selected, ready for the keys.
async function copy(button) {
  const text = document.getElementById(button.dataset.copies);
  try {
    await navigator.clipboard.writeText(text.textContent);
    announce("Copied.");
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(text);
    announce("The text is selected: copy it with the keyboard.");
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copies]");
  if (button) copy(button);
});

document.addEventListener("input", (event) => {
  const field = event.target;
  const output = field.dataset?.count && document.getElementById(field.dataset.count);
  if (output) output.textContent = `${field.value.length} of ${field.maxLength} characters`;
});

// Text that was typed and not sent is not lost by a stray click.
document.addEventListener("input", (event) => {
  if (event.target.closest("[data-keeps-work]")) hasUnsentWork = true;
});
document.addEventListener("submit", (event) => {
  if (!event.target.closest("#claim")) hasUnsentWork = false;
});
// A form that came back from the server unsaved is work, too.
if (document.querySelector("[data-unsaved]")) hasUnsentWork = true;
addEventListener("beforeunload", (event) => {
  if (hasUnsentWork) event.preventDefault();
});

// On a narrow screen the list of clauses starts folded.
if (matchMedia("(max-width: 61.99rem)").matches) {
  for (const fold of document.querySelectorAll("[data-fold-narrow]")) fold.open = false;
}

// Single-key shortcuts ------------------------------------------------------------------------------------------

const TYPING = "input:not([type=checkbox]), textarea, select, [contenteditable=true]";

function moveInList(step) {
  const items = [...document.querySelectorAll("[data-list] [data-item]")];
  if (!items.length) return false;
  const here = items.indexOf(document.activeElement);
  const next = here < 0 ? (step > 0 ? 0 : items.length - 1) : Math.min(Math.max(here + step, 0), items.length - 1);
  items[next].focus();
  return true;
}

// The row of the title that has the focus, or the box that has it.
function tick() {
  const box = document.activeElement.closest("li")?.querySelector("input[type=checkbox][form]");
  box?.click();
  return Boolean(box);
}

document.addEventListener("change", (event) => {
  const name = event.target.dataset?.ticks;
  if (!name) return;
  for (const box of document.querySelectorAll(`input[type=checkbox][name="${CSS.escape(name)}"]`)) {
    box.checked = event.target.checked;
  }
});

function refusalOf(element) {
  const id = element.getAttribute("aria-describedby");
  return (id && document.getElementById(id)?.textContent.trim()) || "This is not possible now.";
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    for (const menu of document.querySelectorAll("[data-menu][open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
    return;
  }
  if (document.body.dataset.shortcuts !== "on") return;
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.defaultPrevented) return;
  if (event.target.closest(TYPING) || document.querySelector("dialog[open]")) return;
  const element = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (element) {
    event.preventDefault();
    if (element.disabled) announce(refusalOf(element));
    else if (hasUnsentWork && element.type === "submit") tell("Send or cancel what you are writing first.");
    else element.click();
  } else if (event.key === "j" || event.key === "k") {
    if (moveInList(event.key === "j" ? 1 : -1)) event.preventDefault();
  } else if (event.key === "x") {
    if (tick()) event.preventDefault();
  }
});

// What is in somebody's hands stays there while they look at it, and they hear at once if it went while they did not.
function renewLeases() {
  if (document.visibilityState !== "visible") return;
  for (const form of document.querySelectorAll("[data-renews]")) form.dispatchEvent(new CustomEvent("renew"));
}
setInterval(renewLeases, 60_000);
document.addEventListener("visibilitychange", renewLeases);

// Live updates --------------------------------------------------------------------------------------------------
// An element with data-live-topic refetches itself (hx-trigger="live") when its topic is announced.

const chip = document.getElementById("live-chip");

function showConnection(state) {
  if (!chip) return;
  chip.hidden = false;
  chip.dataset.state = state;
  chip.textContent = state === "on" ? "Live" : "Reconnecting";
}

function spread(topic) {
  const every = topic === "resync";
  for (const element of document.querySelectorAll("[data-live-topic]")) {
    if (every || element.dataset.liveTopic === topic) element.dispatchEvent(new CustomEvent("live"));
  }
  document.dispatchEvent(new CustomEvent("ratify:topic", { detail: topic }));
}

// A busy round speaks many times a second; each topic is passed on at most once in half a second.
const waiting = new Map();
function receive(topic) {
  if (waiting.has(topic)) return;
  waiting.set(topic, setTimeout(() => {
    waiting.delete(topic);
    spread(topic);
  }, 500));
}

function listen() {
  if (!document.querySelector("[data-live-topic], [data-topic]")) return;
  const source = new EventSource("/events/");
  let first = true;
  source.addEventListener("open", () => {
    showConnection("on");
    if (!first) receive("resync");
    first = false;
  });
  source.addEventListener("error", () => showConnection("off"));
  source.addEventListener("message", (event) => receive(event.data));
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
}

if (document.body.querySelector("[data-live-topic], [data-topic]")) listen();

// A swap keeps what the reader had unfolded, and what was being typed.
const unfolded = new Set();
document.addEventListener("htmx:beforeSwap", (event) => {
  const target = event.detail.target;
  if (event.detail.requestConfig?.verb === "get" && target.contains(document.activeElement)
      && document.activeElement.matches(TYPING)) {
    event.detail.shouldSwap = false;
  }
  // Several swaps may be under way at once: each adds what it must unfold again.
  if (!event.detail.shouldSwap) return;
  for (const details of target.querySelectorAll("details[id][open]")) unfolded.add(details.id);
});
document.addEventListener("htmx:afterSettle", () => {
  for (const id of unfolded) {
    const details = document.getElementById(id);
    if (details && !details.matches(".work-panel")) details.open = true;
  }
  unfolded.clear();
});

// A log is followed while its end is in view; where somebody reads further up, it stays.
for (const log of document.querySelectorAll("[data-follows]")) {
  let isAtEnd = true;
  const follow = () => {
    if (isAtEnd) log.scrollTop = log.scrollHeight;
  };
  log.addEventListener("scroll", () => {
    isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 8;
  });
  log.addEventListener("htmx:afterSwap", follow);
  log.closest("details").addEventListener("toggle", follow);
}

// The next proposal is loaded ahead, but not while a vote can be undone: its page would show that, too, and too late.
function preload() {
  const next = document.querySelector("[data-preload]");
  if (!next || document.querySelector(".undo-vote form, link[rel=prefetch]")) return;
  const link = document.createElement("link");
  link.rel = "prefetch";
  link.href = next.href;
  document.head.append(link);
}
preload();
document.addEventListener("htmx:afterSettle", preload);

// Time that runs ------------------------------------------------------------------------------------------------
// The seconds until a vote counts, after which the page asks the server by itself (hx-trigger); and those that a lease
// lasts, as a clock.

function countDown() {
  for (const left of document.querySelectorAll("[data-seconds]")) {
    left.ends ??= performance.now() + Number(left.dataset.seconds) * 1000;
    const seconds = Math.max(0, Math.ceil((left.ends - performance.now()) / 1000));
    const clock = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    left.textContent = "clock" in left.dataset ? clock : seconds;
  }
}
countDown();
setInterval(countDown, 500);
document.addEventListener("htmx:afterSwap", countDown);

// What the page sends by itself moves nobody and complains of nothing.
function isUnasked(sent) {
  return Boolean(sent?.path.endsWith("/settle/") || sent?.elt?.matches("[data-renews]"));
}

// What came of it is said aloud, and what is being typed stays unsent work.
document.addEventListener("htmx:afterSwap", (event) => {
  const vote = event.detail.elt.closest?.(".undo-vote");
  if (vote && !vote.querySelector("form")) announce(vote.textContent.trim());
});

// A field that only asks to be shown something else sends none of what was typed beside it.
function onlyShows(sent) {
  return Boolean(sent.elt?.matches("[data-keeps-work] [data-only-shows]"));
}

// A refusal stays in view, and the person stays where they were.
document.addEventListener("htmx:afterSwap", (event) => {
  const sent = event.detail.requestConfig;
  if (sent?.verb !== "post" || isUnasked(sent) || onlyShows(sent) || sent.elt?.closest("#claim")) return;
  hasUnsentWork = Boolean(document.querySelector(".work-panel[open] textarea"));
  document.querySelector("#clash .notice")?.scrollIntoView({ block: "center" });
});

// Polls fail quietly, the chip in the header tells of them; a decision that did not arrive must be told.
function complain(event, sentence) {
  const sent = event.detail.requestConfig;
  if (sent?.verb !== "get" && !isUnasked(sent)) tell(sentence);
}
document.addEventListener("htmx:sendError", (event) => {
  complain(event, "The server cannot be reached. Nothing was saved; your text is still here.");
});
document.addEventListener("htmx:responseError", (event) => {
  complain(event, "The server failed. Nothing was saved; your text is still here.");
});
