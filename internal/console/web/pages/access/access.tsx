import { may } from '../../api/permissions';
import { keep, place } from '../../router';
import { Tabs } from '../../ui/tabs';
import { Keys } from './keys';
import { Policies } from './policies';
import { Roles } from './roles';

const tabs = [
  { name: 'Keys', action: 'weir:ListKeys', show: Keys },
  { name: 'Policies', action: 'weir:ListPolicies', show: Policies },
  { name: 'Roles', action: 'weir:ListRoles', show: Roles },
];

/** Keys, policies and roles, as far as the caller may see them. */
export default function Access() {
  const shown = tabs.filter((t) => may(t.action));
  const at = Math.max(0, shown.findIndex((t) => t.name.toLowerCase() === place.value.query.get('show')));
  const one = shown[at];
  return (
    <div class="page">
      <div class="page-head"><h1>Keys</h1></div>
      {one && (
        <Tabs label="What to show" names={shown.map((t) => t.name)} at={at} onChange={(to) => keep({ show: shown[to]!.name.toLowerCase() })}>
          <one.show />
        </Tabs>
      )}
    </div>
  );
}
