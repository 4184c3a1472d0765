import { Code, P, PageLink, Pairs, Section } from "./Prose";

export default function LostSats() {
  return (
    <>
      <Section id="promise" title="The promise">
        <P>
          Every sat paid is at all times one of three things: spent on a delivered answer, a balance its owner
          can spend, or held by a call that is running. It holds to the thousandth of a sat.
        </P>
      </Section>
      <Section id="what-if" title="What if…">
        <Pairs
          rows={[
            [
              "I paid and closed the tab",
              "The payment is remembered by this browser, and by your wallet as the preimage. Open the page again, or send the request with the credential.",
            ],
            ["The provider failed", "Nothing is charged. The credential is good for the next try."],
            [
              "The answer broke off in the middle",
              "You pay for what was visible of it, counted in your favour; nothing if nothing was.",
            ],
            [
              "I lost the connection",
              "The answer is read to its end and kept ten minutes. The same request with the same credential gets it free.",
            ],
            ["I pressed Stop", "The same: you can still fetch the answer. It costs what it would have cost."],
            [
              "I paid an expired invoice",
              "If the payment went through, it is credited whenever you show it. Only the fixed price is gone.",
            ],
            ["I paid more than was asked", "What arrived is credited, all of it."],
            ["I paid twice", "Two payments are two credentials, and both can be spent."],
            [
              "The server was killed",
              "What its running calls held returns to the balance. Nothing is charged for them.",
            ],
            ["The Lightning node is down", "No new invoices are made. Balances and change still pay."],
          ]}
        />
      </Section>
      <Section id="look" title="Look yourself">
        <P>
          <PageLink to="/account">Account</PageLink> shows the history of a token to the msat: every credit,
          every charge, and how the call ended. For programs: <Code>GET /api/usage</Code>.
        </P>
      </Section>
      <Section id="report" title="Still missing one?">
        <P>
          Send the operator the request id of the answer (<Code>X-Request-Id</Code>) or the payment hash.
          Never send a token or a preimage.
        </P>
      </Section>
    </>
  );
}
