import { all } from '../../api/list';
import { useQuery } from '../../api/query';
import { span } from '../../ui/format';
import { Empty, Failed, Loading } from '../../ui/states';
import { Table } from '../../ui/table';

interface RoleInfo {
  RoleName: string;
  RoleARN: string;
  Description: string | null;
  MaxSessionDuration: number;
  Policies: string[];
}

/** The roles that others assume for a while. */
export function Roles() {
  const { data, error, reload } = useQuery('roles', (abort) => all<RoleInfo>('ListRoles', 'RoleInfoList', {}, abort));
  if (error !== null) return <Failed error={error} retry={reload} />;
  if (!data) return <Loading what="Loading the roles" />;
  if (data.length === 0) {
    return (
      <Empty icon="people" title="No roles yet">
        <p>A role is what cameras and programs assume for a while. <code>weir roles create</code> makes one.</p>
      </Empty>
    );
  }
  return (
    <Table label="Roles" rows={data} keyOf={(r) => r.RoleName}
      columns={[
        { title: 'Role', render: (r) => <span title={r.RoleARN}>{r.RoleName}</span> },
        { title: 'For', render: (r) => r.Description ?? '' },
        { title: 'Policies', render: (r) => (r.Policies ?? []).join(', ') || 'none' },
        { title: 'Sessions last', render: (r) => span(r.MaxSessionDuration * 1000) },
      ]} />
  );
}
