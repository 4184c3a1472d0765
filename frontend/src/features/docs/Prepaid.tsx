import { CallCode, GuideCode } from "./ServerCode";
import { Code, P, PageLink, Pairs, Section } from "./Prose";

export default function Prepaid() {
  return (
    <>
      <Section id="in-the-browser" title="In the browser">
        <P>
          <PageLink to="/topup">Top up</PageLink> makes an invoice, notices that it is paid, and shows the
          token once. Keep it like a password: whoever has it can spend it, and nobody can give it back to
          you.
        </P>
      </Section>
      <Section id="from-a-terminal" title="From a terminal">
        <GuideCode id="topup" />
      </Section>
      <Section id="use-it" title="Use it">
        <CallCode id="curl-token" />
      </Section>
      <Section id="rules" title="Rules">
        <Pairs
          rows={[
            ["A balance", "does not expire"],
            [
              "Refill",
              <>
                <Code>POST /topup</Code> with the token; credited by itself once it is paid
              </>,
            ],
            [
              "Too little for a call",
              <>
                402 <Code>insufficient_balance</Code>, with how much is missing and how long an answer would
                fit
              </>,
            ],
            [
              "A new token for the same balance",
              <>
                <Code>POST /api/token/rotate</Code>; the old one is gone. Send an <Code>Idempotency-Key</Code>
                , so that a lost reply can be asked for again
              </>,
            ],
            ["Change left on an L402 credential", "claim it: it becomes a token's balance"],
            ["A claim whose reply was lost", "repeat it with the macaroon, until the token's first use"],
          ]}
        />
      </Section>
    </>
  );
}
