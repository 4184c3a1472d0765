import { CallCode } from "./ServerCode";
import { Code, List, P, PageLink, Pairs, Section, Term } from "./Prose";

export default function L402() {
  return (
    <>
      <Section id="the-idea" title="The idea">
        <P>
          HTTP has had a status for it since 1997: <Code>402 Payment Required</Code>. L402 says what stands in
          it: a Lightning <Term>invoice</Term>, and a <Term>macaroon</Term>, which is a credential that is
          worth nothing until the invoice is paid. Paying gives your wallet the <Term>preimage</Term>, a
          number that only who paid can know. Macaroon and preimage together are your key.
        </P>
      </Section>
      <Section id="a-call" title="Buy a call">
        <CallCode id="curl-l402" />
        <P>
          The invoice asks for the most that this request can cost. What the answer does not use stays on the
          credential and pays for the next call: send the same <Code>Authorization</Code> again.
        </P>
      </Section>
      <Section id="what-you-send" title="What you send, what you get">
        <Pairs
          rows={[
            ["Nothing, or the key l402", "402 with an invoice for the most the call can cost"],
            ["A credential with enough on it", "The answer, and X-Charge-Msat and X-Balance-Msat"],
            ["A credential with too little on it", "402 with an invoice for the difference only"],
            [
              "The same request after its answer was lost on the way",
              "That answer again, free, for ten minutes",
            ],
            ["A request that is wrong", "400 that names the field, before any invoice"],
            [
              <>
                <Code>X-Max-Price-Msat</Code>, and the call may cost more
              </>,
              "402 without an invoice",
            ],
          ]}
        />
      </Section>
      <Section id="forms" title="Forms of the credential">
        <List>
          <li>
            <Code>Authorization: L402 macaroon:preimage</Code>, or the old name <Code>LSAT</Code>
          </li>
          <li>
            <Code>macaroon:preimage</Code> as the API key of an SDK
          </li>
          <li>
            Paid from another device: ask with <Code>X-Payment-Proof: node</Code>, then send{" "}
            <Code>L402 macaroon:</Code> with nothing behind the colon
          </li>
        </List>
        <P>
          Many calls? <PageLink to="/docs/prepaid">A prepaid token</PageLink> is simpler.
        </P>
      </Section>
    </>
  );
}
