import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { Refused } from "../../shared/request";
import { Button } from "../../shared/ui/Button";
import { Field, TextInput } from "../../shared/ui/Field";
import { Notice } from "../../shared/ui/Notice";
import { forThisTab } from "../../shared/wallet/storage";
import { type NewToken, maskedToken, revokeToken, rotateToken } from "../../shared/wallet/token";
import { forgetToken, openToken, useWallet } from "../../shared/wallet/wallet";

const ROTATE_KEY = "rotate-key";
const TYPED_CHARACTERS = 4;

interface TokenActionsProps {
  readonly token: string;
  /** `keeps`: whether the token was kept in this browser. */
  readonly onRotated: (fresh: NewToken, keeps: boolean) => void;
}

/** Rotate, revoke, forget. */
export function TokenActions({ token, onRotated }: TokenActionsProps) {
  const { keepsToken } = useWallet();
  const queries = useQueryClient();
  const [error, setError] = useState<Error | null>(null);

  async function attempt(action: () => Promise<void>) {
    setError(null);
    try {
      await action();
    } catch (failure) {
      setError(failure instanceof Error ? failure : new Error("It did not work."));
    }
    await queries.invalidateQueries({ queryKey: ["balance"] });
  }

  async function rotate() {
    // The key outlives a lost answer: asked again, the server gives the same new token.
    const key = forThisTab.read(ROTATE_KEY) ?? crypto.randomUUID();
    forThisTab.write(ROTATE_KEY, key);
    const fresh = await rotateToken(token, key);
    // The old token is gone: until the new one is saved, a closed tab must not lose it.
    openToken(fresh.token, true);
    forThisTab.write(ROTATE_KEY, null);
    onRotated(fresh, keepsToken);
  }

  return (
    <section aria-labelledby="token-actions" className="grid gap-4">
      <div>
        <h2 id="token-actions" className="text-h2 font-semibold">
          Token
        </h2>
        <p className="text-control text-ink2">
          <span className="font-mono text-note">{maskedToken(token)}</span>,{" "}
          {keepsToken ? "kept in this browser" : "remembered until you close this tab"}.
        </p>
      </div>
      {error === null ? null : (
        <Notice look="bad" role="alert" title="Nothing was changed">
          {error.message} {error instanceof Refused ? error.nextAction : ""}
        </Notice>
      )}
      <div className="grid gap-x-8 gap-y-6 md:grid-cols-3">
        <Action says="Takes it off this browser. It stays good for who has it.">
          <Button onClick={forgetToken}>Forget it here</Button>
        </Action>
        <Action says="A new token for the same balance. The old one ends at once.">
          <Button onClick={() => void attempt(rotate)}>Rotate</Button>
        </Action>
        <Revoke
          token={token}
          onRevoke={() =>
            void attempt(async () => {
              await revokeToken(token);
              forgetToken();
            })
          }
        />
      </div>
    </section>
  );
}

function Action({ says, children }: { readonly says: string; readonly children: React.ReactNode }) {
  return (
    <div className="grid content-start justify-items-start gap-2">
      {children}
      <p className="text-note text-ink2">{says}</p>
    </div>
  );
}

function Revoke({ token, onRevoke }: { readonly token: string; readonly onRevoke: () => void }) {
  const [isAsked, setAsked] = useState(false);
  const [typed, setTyped] = useState("");
  const wanted = token.slice(-TYPED_CHARACTERS);
  if (!isAsked) {
    return (
      <Action says="Ends it for ever. Only an empty one can be revoked.">
        <Button look="bad" onClick={() => setAsked(true)}>
          Revoke
        </Button>
      </Action>
    );
  }
  return (
    <form
      className="grid content-start gap-3"
      onSubmit={(event) => {
        event.preventDefault();
        onRevoke();
        setAsked(false);
        setTyped("");
      }}
    >
      <Field label={`Type its last ${TYPED_CHARACTERS} characters: ${wanted}`}>
        {(tied) => (
          <TextInput
            {...tied}
            autoComplete="off"
            spellCheck={false}
            value={typed}
            onChange={(event) => setTyped(event.target.value)}
            className="font-mono"
          />
        )}
      </Field>
      <div className="flex gap-2">
        <Button look="bad" type="submit" disabled={typed !== wanted}>
          Revoke for ever
        </Button>
        <Button look="plain" onClick={() => setAsked(false)}>
          Cancel
        </Button>
      </div>
    </form>
  );
}
