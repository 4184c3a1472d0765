import { PageHeading } from "../../shared/ui/PageHeading";

export default function AccountPage() {
  return <PageHeading title="Account">Account</PageHeading>;
}
