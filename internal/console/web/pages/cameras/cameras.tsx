import { useState } from 'preact/hooks';
import { listCameras } from '../../api/cameras';
import type { CameraInfo } from '../../api/cameras';
import { weir } from '../../api/clients';
import { may } from '../../api/permissions';
import { useQuery } from '../../api/query';
import { account } from '../../api/server';
import { Button } from '../../ui/button';
import { Code } from '../../ui/code';
import { Confirm } from '../../ui/confirm';
import { day, span } from '../../ui/format';
import { Pill } from '../../ui/pill';
import { Empty, Failed, Loading } from '../../ui/states';
import { Table } from '../../ui/table';
import { complain, say } from '../../ui/toast';

const soon = 30 * 86_400; // seconds before the end of a certificate that it is warned of

function arnOf(c: CameraInfo) {
  return `arn:aws:sts::${account}:assumed-role/camera/${c.ThingName}`;
}

/** Cameras with certificates. */
export default function Cameras() {
  const { data, error, reload } = useQuery('cameras', listCameras);
  const [deleting, setDeleting] = useState<CameraInfo | null>(null);
  const change = async (operation: string, c: CameraInfo, done: string) => {
    try {
      await weir(operation, { ThingName: c.ThingName });
      say(done);
    } catch (error) {
      complain(error);
    }
    reload();
  };
  return (
    <div class="page">
      <div class="page-head"><h1>Cameras</h1></div>
      {error !== null && <Failed error={error} retry={reload} />}
      {!data && error === null && <Loading what="Loading the cameras" />}
      {data?.length === 0 && (
        <Empty icon="certificate" title="No cameras with certificates yet">
          <p>
            Such a camera proves who it is with a private key that never leaves it, and sends to the stream of its name. Add one where a
            key of the server is configured:
          </p>
          <Code label="the command" text="weir camera add front-door --out cameras" />
        </Empty>
      )}
      {data && data.length > 0 && (
        <Table label="Cameras" rows={data} keyOf={(c) => c.ThingName}
          columns={[
            { title: 'Camera', render: (c) => c.ThingName },
            { title: 'State', render: (c) => (c.Status === 'Active' ? <Pill kind="good">Active</Pill> : <Pill kind="warn">Disabled</Pill>) },
            { title: 'Certificate', render: (c) => <Certificate info={c} /> },
            { title: 'Policies', render: (c) => (c.Policies ?? []).join(', ') || 'its own stream' },
          ]}
          actions={(c) => (
            <>
              {c.Status === 'Active' && may('weir:DisableCamera', arnOf(c))
                && <Button label="Disable" kind="quiet" onClick={() => change('DisableCamera', c, `${c.ThingName} may do nothing any more.`)} />}
              {c.Status === 'Inactive' && may('weir:EnableCamera', arnOf(c))
                && <Button label="Enable" kind="quiet" onClick={() => change('EnableCamera', c, `${c.ThingName} may send again.`)} />}
              {may('weir:DeleteCamera', arnOf(c)) && <Button label={`Delete ${c.ThingName}`} icon="trash" iconOnly kind="quiet" onClick={() => setDeleting(c)} />}
            </>
          )} />
      )}
      {deleting && (
        <Confirm title={`Delete ${deleting.ThingName}?`} action="Delete it" onClose={() => setDeleting(null)}
          run={async () => {
            await weir('DeleteCamera', { ThingName: deleting.ThingName });
            say(`${deleting.ThingName} was deleted.`);
            reload();
          }}>
          <p>Its certificates open nothing from then on. Its stream and recordings stay.</p>
        </Confirm>
      )}
    </div>
  );
}

function Certificate({ info }: { info: CameraInfo }) {
  const newest = info.Certificates?.[0];
  if (!newest) return <>{info.CertificateAuthority === 'CLIENT_CA' ? 'from an authority of yours' : 'none'}</>;
  return <CertificateEnd seconds={newest.NotAfter} />;
}

/** When a certificate ends, and a warning when that is soon. */
function CertificateEnd({ seconds }: { seconds: number }) {
  const left = seconds - Date.now() / 1000; // oxlint-disable-line react/purity -- of the moment it is drawn
  if (left < 0) return <Pill kind="bad">Ended on {day(seconds)}</Pill>;
  if (left < soon) return <Pill kind="warn">Ends in {span(left * 1000)}</Pill>;
  return <>until {day(seconds)}</>;
}
