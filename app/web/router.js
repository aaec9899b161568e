/** Router of the three tabs. The URL fragment names the open tab and the open job. */

import { loadSetting, saveSetting } from "./browser-storage.js";
import { byId } from "./dom.js";

const TABS = ["classify", "stylize", "evaluate"];
const LAST_TAB_KEY = "room";
const JOB_ID = /^\w+$/;

let isFirstVisit = true;

/** @returns {{tab: string, job: string | null}} */
export function currentRoute() {
  const [tab, job = ""] = location.hash.slice(1).split("/");
  return TABS.includes(tab)
    ? { tab, job: JOB_ID.test(job) ? job : null }
    : { tab: lastTab(), job: null };
}

/** Return the URL fragment of a tab, or of a job in it. */
export const routeTo = (tab, job) => `#${tab}${job ? `/${encodeURIComponent(job)}` : ""}`;

/** Open a tab, or a job in it. */
export const navigate = (tab, job) => (location.hash = routeTo(tab, job));

/**
 * Open the tab in the URL, now and whenever the URL changes.
 *
 * @param {Object<string, {open: (job: string | null) => void, close: () => void}>} tabs by name
 */
export function startRouter(tabs) {
  const open = () => {
    const { tab, job } = currentRoute();
    for (const name of TABS) if (name !== tab) tabs[name].close();
    showTab(tab, job);
    tabs[tab].open(job);
  };
  addEventListener("hashchange", open);
  if (!location.hash) {
    history.replaceState(null, "", routeTo(currentRoute().tab)); // for the back button
  }
  open();
}

const lastTab = () => loadSetting(LAST_TAB_KEY, TABS[0], (name) => TABS.includes(name));

function showTab(tab, job) {
  for (const name of TABS) {
    byId(`${name}-tab`).hidden = name !== tab;
    const link = byId(`${name}-link`);
    if (name === tab) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${byId(`${tab}-link`).textContent} · Atelier`;
  if (!isFirstVisit && !job) byId(`${tab}-title`).focus({ preventScroll: true });
  scrollTo(0, 0);
  isFirstVisit = false;
  saveSetting(LAST_TAB_KEY, tab);
}
