import { useState } from 'preact/hooks';
import { weir } from '../../api/clients';
import { all } from '../../api/list';
import { may } from '../../api/permissions';
import { useQuery } from '../../api/query';
import { account } from '../../api/server';
import { session } from '../../api/session';
import { Button } from '../../ui/button';
import { Confirm } from '../../ui/confirm';
import { day } from '../../ui/format';
import { Pill } from '../../ui/pill';
import { Failed, Loading } from '../../ui/states';
import { Table } from '../../ui/table';
import { complain, say } from '../../ui/toast';
import { CreateKey, NewKey } from './create-key';
import type { KeyPair } from './create-key';

interface KeyInfo {
  UserName: string | null;
  AccessKeyId: string;
  Status: 'Active' | 'Inactive';
  CreationTime: number | null;
  Fault: string | null;
}

function arnOf(k: KeyInfo) {
  return `arn:aws:iam::${account}:${k.UserName === null ? 'root' : `user/${k.UserName}`}`;
}

/** The keys of users, and what can be done with them. */
export function Keys() {
  const { data, error, reload } = useQuery('keys', (abort) => all<KeyInfo>('ListKeys', 'KeyInfoList', {}, abort));
  const [creating, setCreating] = useState(false);
  const [made, setMade] = useState<KeyPair | null>(null);
  const [deleting, setDeleting] = useState<KeyInfo | null>(null);
  const [disabling, setDisabling] = useState<KeyInfo | null>(null);

  const change = async (operation: string, k: KeyInfo, done: string) => {
    try {
      await weir(operation, { Key: k.AccessKeyId });
      say(done);
    } catch (error) {
      complain(error);
    }
    reload();
  };
  const rotate = async (k: KeyInfo) => {
    try {
      setMade(await weir<KeyPair>('RotateKey', { Key: k.AccessKeyId }));
    } catch (error) {
      complain(error);
    }
    reload();
  };

  if (error !== null) return <Failed error={error} retry={reload} />;
  if (!data) return <Loading what="Loading the keys" />;
  return (
    <div class="stack">
      {may('weir:CreateKey') && <div><Button label="New key" icon="plus" kind="primary" onClick={() => setCreating(true)} /></div>}
      <Table label="Keys" rows={data} keyOf={(k) => k.AccessKeyId}
        columns={[
          { title: 'User', render: (k) => k.UserName ?? 'root' },
          { title: 'Access key ID', render: (k) => <code>{k.AccessKeyId}</code> },
          { title: 'State', render: (k) => <KeyState info={k} /> },
          { title: 'Made', render: (k) => (k.CreationTime === null ? 'in the credentials file' : day(k.CreationTime)) },
        ]}
        actions={(k) => k.CreationTime !== null && (
          <>
            {k.Status === 'Active' && may('weir:RotateKey', arnOf(k)) && <Button label="Replace" kind="quiet" onClick={() => rotate(k)} />}
            {k.Status === 'Active' && may('weir:DisableKey', arnOf(k))
              && <Button label="Disable" kind="quiet" onClick={() => (isOwn(k) ? setDisabling(k) : change('DisableKey', k, 'The key opens nothing any more.'))} />}
            {k.Status === 'Inactive' && may('weir:EnableKey', arnOf(k))
              && <Button label="Enable" kind="quiet" onClick={() => change('EnableKey', k, 'The key works again.')} />}
            {may('weir:DeleteKey', arnOf(k)) && <Button label={`Delete ${k.AccessKeyId}`} icon="trash" iconOnly kind="quiet" onClick={() => setDeleting(k)} />}
          </>
        )} />
      {creating && <CreateKey onClose={() => setCreating(false)} onMade={(pair) => { setCreating(false); setMade(pair); reload(); }} />}
      {made && <NewKey pair={made} second={data.some((k) => k.UserName === made.UserName && k.AccessKeyId !== made.AccessKeyId && k.Status === 'Active')} onClose={() => setMade(null)} />}
      {disabling && (
        <Confirm title="Disable your own key?" action="Disable it" onClose={() => setDisabling(null)}
          run={() => change('DisableKey', disabling, 'The key opens nothing any more.')}>
          <p>You are signed in as <strong>{disabling.UserName}</strong>. If it is with this key, you are signed out at once, and only others can enable it again.</p>
        </Confirm>
      )}
      {deleting && (
        <Confirm title={`Delete the key of ${deleting.UserName}?`} action="Delete it" onClose={() => setDeleting(null)}
          run={async () => {
            await weir('DeleteKey', { Key: deleting.AccessKeyId });
            say('The key was deleted.');
            reload();
          }}>
          <p>
            <code>{deleting.AccessKeyId}</code> opens nothing from then on. With the last key of a user the user goes, too.
          </p>
        </Confirm>
      )}
    </div>
  );
}

// Whether it is a key of the user who is signed in.
function isOwn(k: KeyInfo): boolean {
  const now = session.value;
  return now.state === 'in' && now.identity.arn === arnOf(k);
}

function KeyState({ info }: { info: KeyInfo }) {
  const own = isOwn(info);
  return (
    <span class="row">
      {info.Fault ? <Pill kind="bad">{info.Fault}</Pill>
        : info.Status === 'Active' ? <Pill kind="good">Active</Pill> : <Pill kind="warn">Disabled</Pill>}
      {own && <Pill>You</Pill>}
    </span>
  );
}
