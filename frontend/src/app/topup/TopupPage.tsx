import { PageHeading } from "../../shared/ui/PageHeading";

export default function TopupPage() {
  return <PageHeading title="Topup">Topup</PageHeading>;
}
