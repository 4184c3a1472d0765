import { CallCode } from "./ServerCode";
import { Code, List, P, PageLink, Section } from "./Prose";

export default function Sdks() {
  return (
    <>
      <Section id="python" title="Python">
        <P>
          The base URL is this server's, the key is a token from <PageLink to="/topup">Top up</PageLink>. All
          else is as before.
        </P>
        <CallCode id="python" />
      </Section>
      <Section id="javascript" title="JavaScript">
        <CallCode id="javascript" />
      </Section>
      <Section id="without-a-token" title="Without a token">
        <P>
          An SDK takes an L402 credential, too: <Code>macaroon:preimage</Code> as its API key. With the key{" "}
          <Code>l402</Code> it is answered 402, and the error's body has the invoice.
        </P>
      </Section>
      <Section id="retries" title="Retries">
        <List>
          <li>
            SDKs repeat a request after 408, 409, 429, 5xx and lost connections. A repeat is never charged
            twice for an answer that you did not get: a complete answer that was lost on the way is kept for
            ten minutes and handed out free.
          </li>
          <li>
            An <Code>Idempotency-Key</Code> keeps every answer for a day.
          </li>
          <li>
            What a repeat cannot help says so with <Code>x-should-retry: false</Code>, which official SDKs
            obey.
          </li>
        </List>
      </Section>
      <Section id="other-programs" title="Other programs">
        <P>
          Whatever lets you set an OpenAI base URL and key works: the base URL is{" "}
          <Code>{`${location.origin}/v1`}</Code>. Recipes for several stand beside your token on{" "}
          <PageLink to="/topup">Top up</PageLink>.
        </P>
      </Section>
    </>
  );
}
