/** Asks for a key where the service needs one, and exchanges it for a cookie. */

import { call, insist, lockedOut } from "./api.js";
import { byId, fill, make, named } from "./dom.js";
import { problemBox } from "./problems.js";

let asking = null;

/** Let whoever may come in; others are asked for a key, now and when their session has ended. */
export async function enter() {
  lockedOut(ask);
  const { required, name } = await insist("/session");
  if (required && name) greet(name);
  if (required && !name) await ask();
}

/** Ask once, however many requests wait for it. */
const ask = () => (asking ??= askForKey().finally(() => (asking = null)));

function askForKey() {
  const input = make("input", { type: "password", required: true, autocomplete: "current-password" });
  const button = make("button", { class: "primary" }, "Enter");
  const problem = problemBox();
  const title = make("h2", { id: "entrance-title" }, "This Atelier is kept locked");
  const form = make(
    "form",
    { method: "dialog" },
    title,
    make("p", {}, "Its operator can make a key for you."),
    make("label", { class: "field" }, make("span", {}, "Key"), input),
    problem.element,
    make("div", { class: "actions" }, button),
  );
  const dialog = make("dialog", { class: "entrance", "aria-labelledby": title.id }, form);
  dialog.addEventListener("cancel", (event) => event.preventDefault()); // nothing is behind it
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      problem.clear();
      button.disabled = true;
      try {
        await call("/session", { method: "POST", json: { key: input.value.trim() }, open: true });
        const { name } = await call("/session");
        if (!name) {
          problem.say("This browser keeps no cookies, and the page cannot do without one.");
          return;
        }
        greet(name);
        dialog.remove();
        resolve();
      } catch (error) {
        problem.show(error);
        input.select();
      } finally {
        button.disabled = false;
      }
    });
  });
}

/** Say whose key it is, with a way out. */
function greet(name) {
  const leave = async () => {
    await call("/session", { method: "DELETE" });
    location.reload();
  };
  fill(byId("gallery-title"), "Your paintings");
  fill(
    byId("visitor"),
    make("span", {}, named(name)),
    make("button", { type: "button", onclick: leave }, "Leave"),
  );
}
