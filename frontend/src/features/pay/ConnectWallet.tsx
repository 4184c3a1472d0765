import { type FormEvent, type ReactNode, useState } from "react";

import { Button } from "../../shared/ui/Button";
import { Field, TextInput } from "../../shared/ui/Field";
import { type PayBy, isWalletLink, payByLink } from "./wallets";

interface ConnectWalletProps {
  readonly amount: ReactNode;
  readonly onPay: (pay: PayBy) => void;
  readonly onBack: () => void;
}

// For as long as the page lives: a wallet's link can spend, so it is never written down.
let lastLink = "";

/** Nostr Wallet Connect: the visitor pastes a link from their wallet, and it pays. */
export function ConnectWallet({ amount, onPay, onBack }: ConnectWalletProps) {
  const [link, setLink] = useState(lastLink);
  const [wrong, setWrong] = useState(false);

  function pay(event: FormEvent) {
    event.preventDefault();
    if (!isWalletLink(link)) {
      setWrong(true);
      return;
    }
    lastLink = link;
    onPay(payByLink(link));
  }

  return (
    <form onSubmit={pay} className="grid gap-4">
      {amount}
      <Field
        label="Wallet link"
        hint="From your wallet’s Nostr Wallet Connect page. Your browser then talks to the relay named in it. It is kept until you leave this page."
        error={wrong ? "A wallet link begins with nostr+walletconnect://" : null}
      >
        {(tied) => (
          <TextInput
            {...tied}
            type="password"
            autoComplete="off"
            spellCheck={false}
            placeholder="nostr+walletconnect://…"
            value={link}
            onChange={(event) => {
              setLink(event.target.value);
              setWrong(false);
            }}
          />
        )}
      </Field>
      <div className="grid grid-cols-2 gap-2">
        <Button onClick={onBack}>Back</Button>
        <Button look="pay" type="submit">
          Pay
        </Button>
      </div>
    </form>
  );
}
