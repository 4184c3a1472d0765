import { List, P, PageLink, Section, Term } from "./Prose";

export default function Prices() {
  return (
    <>
      <Section id="made" title="How a price is made">
        <P>
          The provider's price in dollars, times this server's margin, is the price in the{" "}
          <PageLink to="/catalog">catalog</PageLink>: what is published is what is charged. Some calls have
          one price in sats or dollars instead, whatever they use.
        </P>
        <P>
          Dollars become sats at the median of several public bitcoin prices. Its age stands beside every
          price; when it is too old, nothing priced in dollars is sold.
        </P>
      </Section>
      <Section id="most-typical-cost" title="At most, typically, and what it was">
        <List>
          <li>
            <Term>At most</Term> is computed from your request before it is sent: all its input, and the
            longest answer that it allows. The invoice asks for it, in whole sats. A smaller{" "}
            <Term>max_tokens</Term> makes it smaller.
          </li>
          <li>
            <Term>Typically</Term> is a guess for a usual call, shown so that you can compare models.
          </li>
          <li>
            <Term>What it cost</Term> is what the provider says was used, to the thousandth of a sat, never
            more than the most. The rest stays yours.
          </li>
        </List>
      </Section>
      <Section id="firm" title="A quote is firm">
        <P>
          The price in an invoice holds until the invoice expires and an hour longer, even if bitcoin moves.
          If it moved in your favour, you get the better price. Money that arrives later is never lost: it is
          credited at the price of that moment.
        </P>
      </Section>
      <Section id="rounding" title="Rounding">
        <P>
          A charge is rounded up to a thousandth of a sat, once. Prices on these pages are rounded up, what is
          yours is rounded down; the exact figures are in your history.
        </P>
      </Section>
    </>
  );
}
