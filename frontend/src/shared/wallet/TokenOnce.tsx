import { useRef, useState } from "react";

import { Button } from "../ui/Button";
import { CopyTextButton } from "../ui/CopyButton";
import { Check, Field, TextInput } from "../ui/Field";
import { SatsOwned } from "../ui/Sats";
import { Recipes } from "./Recipes";
import { environmentFile } from "./recipe";
import type { NewToken } from "./token";

interface TokenOnceProps {
  readonly made: NewToken;
  /** Whether it was kept in this browser before. */
  readonly keeps: boolean;
  readonly model: string;
  /** Called once the visitor has it: `keep` says whether this browser remembers it. */
  readonly onDone: (keep: boolean) => void;
}

/** A token, shown this once: to copy, to download, and to put where it is needed. */
export function TokenOnce({ made, keeps, model, onDone }: TokenOnceProps) {
  const input = useRef<HTMLInputElement>(null);
  const [isSaved, setSaved] = useState(false);
  const [keep, setKeep] = useState(keeps);
  const { origin } = location;
  return (
    <div className="grid gap-8">
      <section
        aria-labelledby="token-title"
        className="grid gap-4 rounded-card border border-line bg-surface p-4 sm:p-5"
      >
        <div>
          <h2 id="token-title" className="text-h2 font-semibold">
            Your token, shown once
          </h2>
          <p className="mt-1 text-note text-ink2">
            It holds <SatsOwned msat={made.balance_msat} />. Who has it can spend them, and nobody can give it
            back to you.
          </p>
        </div>
        <Field label="Token">
          {(tied) => (
            <TextInput
              {...tied}
              ref={input}
              readOnly
              value={made.token}
              className="font-mono text-note sm:text-note"
            />
          )}
        </Field>
        <div className="flex flex-wrap gap-2">
          <CopyTextButton name="token" text={made.token} source={input} onCopied={() => setSaved(true)} />
          <a
            href={`data:text/plain;charset=utf-8,${encodeURIComponent(environmentFile(origin, made.token))}`}
            download="alittlebitofmoney.env"
            onClick={() => setSaved(true)}
            className="inline-flex min-h-11 items-center rounded-control border border-edge bg-surface px-4 text-control font-medium hover:bg-sunken"
          >
            Download .env
          </a>
        </div>
        <div className="grid gap-2">
          <Check
            label="I have saved it"
            checked={isSaved}
            onChange={(event) => setSaved(event.target.checked)}
          />
          <Check
            label="Keep it in this browser too. Whoever uses this browser can then spend it; you can forget it on the account page."
            checked={keep}
            onChange={(event) => setKeep(event.target.checked)}
          />
        </div>
        <Button look="pay" disabled={!isSaved && !keep} onClick={() => onDone(keep)} className="sm:w-fit">
          Done
        </Button>
      </section>
      <Recipes origin={origin} token={made.token} model={model} />
    </div>
  );
}
