import { Code, List, P, Pairs, Section } from "./Prose";

export default function Privacy() {
  return (
    <>
      <Section id="you" title="Who you are">
        <P>
          There is no account and no name. A token or a paid invoice is all that is known of you; only its
          digest is stored, so a stolen database holds no key.
        </P>
      </Section>
      <Section id="a-call" title="What is kept of a call">
        <Pairs
          rows={[
            [
              "In the ledger",
              "time, endpoint, model, how it ended, how much was used, what it cost, a request id",
            ],
            ["The request", "not kept: it is sent to the provider and forgotten"],
            [
              "The answer",
              "not kept once you have it. One that could not be delivered is kept ten minutes, sealed so that only your credential opens it. With an Idempotency-Key: a day",
            ],
            ["In logs", "no prompt, no answer, no token, no preimage"],
            [
              "Your address",
              "counted for a minute, to limit what is free. A proxy before this server may keep its own log",
            ],
          ]}
        />
      </Section>
      <Section id="provider" title="What the provider sees">
        <P>
          Your request, because it answers it, from this server's address and under this server's key; never
          your address. Where it wants to tell users apart, it gets a keyed hash of your account, which means
          nothing to anybody else. Its own rules on keeping data hold for what it sees.
        </P>
      </Section>
      <Section id="lightning" title="What Lightning shows">
        <P>
          This server's node sees that an invoice was paid and when, not by whom. Who routes your payment
          knows its amount.
        </P>
      </Section>
      <Section id="page" title="What this page does">
        <List>
          <li>It asks nobody but this server: no fonts, scripts, pictures or statistics from elsewhere.</li>
          <li>
            If you connect a wallet by a Nostr Wallet Connect link, it talks to the relay named in that link,
            and only then.
          </li>
          <li>
            What it remembers (theme, unpaid invoices, a token if you say so) stays in this browser, until you
            press <Code>Forget</Code>.
          </li>
        </List>
      </Section>
    </>
  );
}
