import { Account } from "../../features/account/Account";
import { PageHeading } from "../../shared/ui/PageHeading";
import { useCatalog } from "../../shared/useCatalog";

/** What the visitor owns here. */
export default function AccountPage() {
  const { data } = useCatalog();
  const example = data?.apis[0]?.endpoints[0]?.example?.body?.["model"];
  return (
    <div className="grid gap-6 pt-8">
      <PageHeading title="Account">Account</PageHeading>
      <Account model={typeof example === "string" ? example : "gpt-6-luna"} />
    </div>
  );
}
