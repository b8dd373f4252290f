/* Ages, countdowns and local times. Everything else is HTML from the server. */
(() => {
  "use strict";

  const unit = (seconds) => {
    const s = Math.max(0, Math.floor(seconds));
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min`;
    if (s < 86400) {
      const minutes = Math.floor((s % 3600) / 60);
      return `${Math.floor(s / 3600)} h${minutes ? ` ${minutes} min` : ""}`;
    }
    return `${Math.floor(s / 86400)} d`;
  };
  const countdown = (seconds) => {
    const s = Math.max(0, Math.ceil(seconds));
    return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
  };
  const set = (element, text) => {
    if (element.textContent !== text) element.textContent = text;
  };

  const tick = () => {
    const now = Date.now();
    for (const element of document.querySelectorAll("time[data-age]")) {
      set(element, unit((now - Date.parse(element.dateTime)) / 1000));
    }
    for (const element of document.querySelectorAll("time[data-until]")) {
      const left = (Date.parse(element.dateTime) - now) / 1000;
      set(element, countdown(left));
      element.toggleAttribute("data-urgent", left < 60);
    }
    for (const element of document.querySelectorAll("time[data-clock]")) {
      const when = new Date(element.dateTime);
      set(element, when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false }));
      element.title = when.toLocaleString();
    }
    const waiting = document.querySelector("[data-headline]");
    if (waiting) document.title = `${waiting.dataset.headline} · Midwatch`;
  };

  const live = (on) => document.documentElement.toggleAttribute("data-stale", !on);
  document.addEventListener("htmx:sse:error", () => live(false));
  document.addEventListener("htmx:sse:after:connection", () => live(true));
  document.addEventListener("htmx:after:swap", tick);
  setInterval(tick, 1000);
  tick();
})();
