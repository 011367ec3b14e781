// The dialog that sets a provider's key in the router's secret. The page never reads one.

import { busy, button, field } from "../controls.js";
import { confirm, openDialog, toast } from "../dialogs.js";
import { h } from "../dom.js";
import { models as api } from "../endpoints.js";

/** Set or delete the secret `name`. Resolves with true once it is done. */
export function secretDialog(name, isSet) {
  const value = h("input", { type: "password", required: true, autocomplete: "off", spellcheck: "false", maxlength: "8000", autofocus: true });
  const valueField = field("Value", value, { hint: "The key itself. It is sent once and cannot be read back." });
  return openDialog(
    `Secret ${name}`,
    (close) => {
      const submit = button("Set", null, { kind: "primary", type: "submit" });
      const act = async (work, done) => {
        try {
          await work();
        } catch (error) {
          return valueField.problem(error.message);
        }
        toast(done);
        return close(true);
      };
      const set = (event) => {
        event.preventDefault();
        return busy(submit, () => act(() => api.setSecret(name, value.value), `${name} is set. The router reads it within five minutes, or after a provider rejects the old key.`));
      };
      const drop = async () => {
        if (await confirm(`Delete ${name}?`, "Providers with this secret can no longer be called.", "Delete")) await act(() => api.deleteSecret(name), `${name} is deleted.`);
      };
      return h("form", { class: "form", on: { submit: set } }, valueField, h("div", { class: "actions" }, isSet && button("Delete", drop, { kind: "quiet danger" }), button("Cancel", () => close()), submit));
    },
    { describe: "It is stored in AWS Secrets Manager, under this name in the router's secret." },
  );
}
