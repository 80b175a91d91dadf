import { useState } from 'preact/hooks';
import { weir } from '../../api/clients';
import { all } from '../../api/list';
import { may } from '../../api/permissions';
import { useQuery } from '../../api/query';
import { Button } from '../../ui/button';
import { day } from '../../ui/format';
import { Failed, Loading } from '../../ui/states';
import { Table } from '../../ui/table';
import { complain } from '../../ui/toast';
import { PolicyDialog } from './policy-dialog';
import type { PolicyInfo } from './policy-dialog';

/** The policies, and who has them. */
export function Policies() {
  const { data, error, reload } = useQuery('policies', (abort) => all<PolicyInfo>('ListPolicies', 'PolicyInfoList', {}, abort));
  const [shown, setShown] = useState<PolicyInfo | null>(null);
  if (error !== null) return <Failed error={error} retry={reload} />;
  if (!data) return <Loading what="Loading the policies" />;
  const show = async (p: PolicyInfo) => {
    try {
      const { PolicyInfo } = await weir<{ PolicyInfo: PolicyInfo }>('GetPolicy', { PolicyName: p.PolicyName });
      setShown(PolicyInfo);
    } catch (error) {
      complain(error);
    }
  };
  return (
    <div class="stack">
      {may('weir:PutPolicy') && (
        <div><Button label="New policy" icon="plus" kind="primary" onClick={() => setShown({ PolicyName: '', PolicyARN: '', Description: null,
          UpdateTime: null, Version: '', Attachments: [], PolicyDocument: template })} /></div>
      )}
      <Table label="Policies" rows={data} keyOf={(p) => p.PolicyName}
        columns={[
          { title: 'Policy', render: (p) => p.PolicyName },
          { title: 'For', render: (p) => p.Description ?? (p.Version === null ? (built[p.PolicyName] ?? 'comes with Weir') : '') },
          { title: 'Held by', render: (p) => p.Attachments.map((a) => a.UserName ?? a.RoleName ?? a.ThingName).join(', ') || 'nobody' },
          { title: 'Changed', render: (p) => (p.UpdateTime === null ? '' : day(p.UpdateTime)) },
        ]}
        actions={(p) => may('weir:GetPolicy', p.PolicyARN) && <Button label={`Show ${p.PolicyName}`} icon="edit" iconOnly kind="quiet" onClick={() => show(p)} />} />
      {shown && <PolicyDialog policy={shown} onClose={() => setShown(null)} onChanged={() => { setShown(null); reload(); }} />}
    </div>
  );
}

// What the policies are for that come with Weir (docs/policies.md).
const built: Record<string, string> = {
  administrator: 'may do everything',
  camera: 'sends to the stream of its own name',
  producer: 'sends to any stream',
  'read-only': 'sees all streams and the server, changes nothing',
  viewer: 'watches and exports',
};

const template = `{
  "Version": "2012-10-17",
  "Statement": [{
    "Effect": "Allow",
    "Action": ["kinesisvideo:DescribeStream", "kinesisvideo:GetDataEndpoint", "kinesisvideo:PutMedia"],
    "Resource": "arn:aws:kinesisvideo:*:*:stream/front-door/*"
  }]
}
`;
