import { ButtonLink } from "../shared/ui/Button";
import { PageHeading } from "../shared/ui/PageHeading";

/** An address that is no page. */
export function NotFoundPage() {
  return (
    <div className="grid justify-items-start gap-4 pt-12">
      <PageHeading title="No such page">There is no page at this address</PageHeading>
      <p className="text-ink2">It may have moved. Nothing you have paid depends on it.</p>
      <ButtonLink to="/catalog">See what is sold</ButtonLink>
    </div>
  );
}
