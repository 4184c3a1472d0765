import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { Link } from "react-router";

import { Refused } from "../../shared/request";
import { Button } from "../../shared/ui/Button";
import { Check, Field, TextInput } from "../../shared/ui/Field";
import { bearer, fetchBalance } from "../../shared/wallet/balance";
import { openToken } from "../../shared/wallet/wallet";

/** Opens the account of a pasted token, once the server knows it. */
export function OpenToken() {
  const queries = useQueryClient();
  const [token, setToken] = useState("");
  const [keep, setKeep] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);

  async function open(event: FormEvent) {
    event.preventDefault();
    const wanted = token.trim();
    setBusy(true);
    try {
      queries.setQueryData(["balance", wanted], await fetchBalance(bearer(wanted)));
      openToken(wanted, keep);
    } catch (failure) {
      setError(failure instanceof Refused ? failure.message : "The server was not reached.");
    } finally {
      setBusy(false);
    }
  }

  return (
    <form
      onSubmit={(event) => void open(event)}
      className="grid gap-4 rounded-card border border-line bg-surface p-4 sm:p-5"
    >
      <Field
        label="Paste a token"
        hint="It is sent to this server alone. This tab remembers it until you close it."
        error={error}
      >
        {(tied) => (
          <TextInput
            {...tied}
            type="password"
            autoComplete="off"
            spellCheck={false}
            placeholder="alb_…"
            value={token}
            onChange={(event) => {
              setToken(event.target.value);
              setError(null);
            }}
            className="max-w-xl font-mono"
          />
        )}
      </Field>
      <Check
        label="Keep it in this browser"
        checked={keep}
        onChange={(event) => setKeep(event.target.checked)}
      />
      <div className="flex flex-wrap items-center gap-x-4 gap-y-2">
        <Button type="submit" disabled={token.trim() === "" || isBusy}>
          Open the account
        </Button>
        <p className="text-note text-ink2">
          None yet?{" "}
          <Link to="/topup" className="underline underline-offset-4">
            Top up
          </Link>{" "}
          gives you one.
        </p>
      </div>
    </form>
  );
}
