export { groupsOf } from "../catalog/rows";
