import { CallCode } from "./ServerCode";
import { Code, P, Pairs, Section, ServerLink } from "./Prose";

export default function Agents() {
  return (
    <>
      <Section id="find-out" title="Find out">
        <Pairs
          rows={[
            [
              <ServerLink key="llms" to="/llms.txt">
                /llms.txt
              </ServerLink>,
              "One page for a language model: how to pay, what is sold",
            ],
            [
              <ServerLink key="openapi" to="/openapi.json">
                /openapi.json
              </ServerLink>,
              "Every route and every paid call, with the rules of its body",
            ],
            [
              <ServerLink key="catalog" to="/api/catalog">
                /api/catalog
              </ServerLink>,
              "Models and prices in dollars, msat and sats at this moment",
            ],
            [
              <ServerLink key="manifest" to="/.well-known/l402-services">
                /.well-known/l402-services
              </ServerLink>,
              "The paid routes, for directories of L402 services",
            ],
            [
              <ServerLink key="errors" to="/api/errors">
                /api/errors
              </ServerLink>,
              "Every error code and what to do next",
            ],
          ]}
        />
      </Section>
      <Section id="know-the-price" title="Know the price first">
        <P>
          <Code>POST /api/quote/…</Code> with the paid call's own path and body tells the most it can cost and
          what it typically costs, item by item. It is free and makes no invoice. With{" "}
          <Code>X-Max-Price-Msat</Code> a call that may cost more is refused instead of invoiced.
        </P>
      </Section>
      <Section id="pay" title="Pay by itself">
        <P>
          Clients that know L402 pay the invoice from a wallet you give them and keep the change for the next
          call. Give an agent a wallet with a budget, not your savings.
        </P>
        <CallCode id="l402-client" />
      </Section>
      <Section id="limits" title="Hand on a part">
        <P>
          A macaroon can be narrowed by whoever holds it, without asking us: a caveat{" "}
          <Code>services=openai:0</Code> lets it buy from that provider only,{" "}
          <Code>openai_valid_until=1767225600</Code> until then only. Whoever gets the narrowed one cannot
          widen it.
        </P>
      </Section>
    </>
  );
}
