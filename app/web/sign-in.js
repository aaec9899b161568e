/** Sign-in: exchanges an API key for a session cookie where the service requires one. */

import { callApi, callApiUntilAnswered, onUnauthorized } from "./api.js";
import { byId, create, setChildren, userText } from "./dom.js";
import { createErrorBox } from "./errors.js";

let pendingSignIn = null;

/** Sign in if the service requires it, now and whenever the session has expired. */
export async function signIn() {
  onUnauthorized(requestSignIn);
  const { required, name } = await callApiUntilAnswered("/session");
  if (required && name) showUser(name);
  if (required && !name) await requestSignIn();
}

/** Show one dialog, however many requests wait for it. */
const requestSignIn = () =>
  (pendingSignIn ??= showDialog().finally(() => (pendingSignIn = null)));

function showDialog() {
  const input = create("input", {
    type: "password",
    required: true,
    autocomplete: "current-password",
  });
  const button = create("button", { class: "primary" }, "Sign in");
  const errorBox = createErrorBox();
  const title = create("h2", { id: "sign-in-title" }, "Sign in to Atelier");
  const form = create(
    "form",
    { method: "dialog" },
    title,
    create("p", {}, "This service requires an API key. Ask its operator for one."),
    create("label", { class: "field" }, create("span", {}, "API key"), input),
    errorBox.element,
    create("div", { class: "actions" }, button),
  );
  const dialog = create("dialog", { class: "sign-in", "aria-labelledby": title.id }, form);
  dialog.addEventListener("cancel", (event) => event.preventDefault()); // the page needs a session
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      errorBox.clear();
      button.disabled = true;
      try {
        const json = { key: input.value.trim() };
        await callApi("/session", { method: "POST", json, isPublic: true });
        const { name } = await callApi("/session");
        if (!name) {
          errorBox.showMessage(
            "This browser blocks cookies, which the sign-in needs. " +
              "Allow cookies for this site and try again.",
          );
          return;
        }
        showUser(name);
        dialog.remove();
        resolve();
      } catch (error) {
        errorBox.showError(error);
        input.select();
      } finally {
        button.disabled = false;
      }
    });
  });
}

/** Show the name of the key, with a button to sign out. */
function showUser(name) {
  const signOut = async () => {
    await callApi("/session", { method: "DELETE" });
    location.reload();
  };
  setChildren(byId("gallery-title"), "Your paintings");
  setChildren(
    byId("user"),
    create("span", {}, userText(name)),
    create("button", { type: "button", onclick: signOut }, "Sign out"),
  );
}
