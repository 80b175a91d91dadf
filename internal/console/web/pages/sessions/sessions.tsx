import { useState } from 'preact/hooks';
import { weir } from '../../api/clients';
import { all } from '../../api/list';
import { may } from '../../api/permissions';
import { useQuery } from '../../api/query';
import { href } from '../../router';
import { Button } from '../../ui/button';
import { Confirm } from '../../ui/confirm';
import { moment } from '../../ui/format';
import { Empty, Failed, Loading } from '../../ui/states';
import { Table } from '../../ui/table';
import { say } from '../../ui/toast';

interface SessionInfo {
  SessionId: string;
  StreamName: string;
  StreamARN: string;
  Protocol: string;
  Principal: string | null;
  Address: string | null;
  CreationTime: number;
  ExpirationTime: number;
}

const again = 60; // seconds; each time is an event in the audit log

/** Who watches, and a way to end it. */
export default function Sessions() {
  const { data, error, reload } = useQuery('sessions', (abort) => all<SessionInfo>('ListSessions', 'SessionInfoList', {}, abort), again);
  const [closing, setClosing] = useState<SessionInfo | null>(null);
  return (
    <div class="page">
      <div class="page-head"><h1>Sessions</h1></div>
      {error !== null && <Failed error={error} retry={reload} />}
      {!data && error === null && <Loading what="Loading the sessions" />}
      {data?.length === 0 && (
        <Empty icon="people" title="Nobody is watching">
          <p>Each viewer of a stream has a session: a link that plays one stream for a limited time. They are listed here while they last.</p>
        </Empty>
      )}
      {data && data.length > 0 && (
        <Table label="Playback sessions" rows={data} keyOf={(s) => s.SessionId}
          columns={[
            { title: 'Stream', render: (s) => <a href={href(['streams', s.StreamName])}>{s.StreamName}</a> },
            { title: 'Opened by', render: (s) => <span title={s.Principal ?? ''}>{nameOf(s.Principal)}</span> },
            { title: 'Bound to', render: (s) => s.Address ?? 'any address' },
            { title: 'Format', render: (s) => s.Protocol },
            { title: 'Opened', render: (s) => moment(s.CreationTime) },
            { title: 'Ends', render: (s) => moment(s.ExpirationTime) },
          ]}
          actions={(s) => may('weir:CloseSessions', s.StreamARN)
            && <Button label="Close" kind="danger" onClick={() => setClosing(s)} />} />
      )}
      {closing && (
        <Confirm title="Close this session?" action="Close it" onClose={() => setClosing(null)}
          run={async () => {
            await weir('CloseSessions', { SessionId: closing.SessionId });
            say('The session was closed.');
            reload();
          }}>
          <p>Whoever watches <strong>{closing.StreamName}</strong> with it sees no more. Whoever may can open another.</p>
        </Confirm>
      )}
    </div>
  );
}

function nameOf(arn: string | null): string {
  return arn?.split(/[/:]/).pop() || 'not told';
}
