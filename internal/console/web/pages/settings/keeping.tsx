import { DescribeStreamCommand, UpdateDataRetentionCommand, UpdateStreamStorageConfigurationCommand } from '@aws-sdk/client-kinesis-video';
import type { StreamInfo } from '@aws-sdk/client-kinesis-video';
import { useId, useState } from 'preact/hooks';
import { kinesis } from '../../api/clients';
import { may } from '../../api/permissions';
import { Button } from '../../ui/button';
import { hours as inWords } from '../../ui/format';
import { useSave } from '../../ui/submit';
import { Retention } from '../streams/retention';

interface Props {
  name: string;
  info: StreamInfo;
  tier: string;
  onChanged: () => void;
}

/** For how long, and where, recordings are kept. */
export function Keeping({ name, info, tier, onChanged }: Props) {
  const now = info.DataRetentionInHours ?? 0;
  const [hours, setHours] = useState(now);
  const [where, setWhere] = useState(tier);
  const { busy, save } = useSave(onChanged);
  const id = useId();
  const mayKeep = may('kinesisvideo:UpdateDataRetention', info.StreamARN);
  const mayMove = may('kinesisvideo:UpdateStreamStorageConfiguration', info.StreamARN);
  const changed = hours !== now || where !== tier;

  const change = async () => {
    if (hours !== now) {
      await kinesis.send(new UpdateDataRetentionCommand({
        StreamName: name, CurrentVersion: info.Version, DataRetentionChangeInHours: Math.abs(hours - now),
        Operation: hours > now ? 'INCREASE_DATA_RETENTION' : 'DECREASE_DATA_RETENTION',
      }));
    }
    if (where !== tier) {
      const CurrentVersion = hours === now ? info.Version : undefined;
      await moveTo(name, where, CurrentVersion);
    }
  };

  return (
    <form class="card stack" onSubmit={(e) => save(e, change)}>
      <h2>Keeping</h2>
      {mayKeep ? <Retention hours={hours} onChange={setHours} /> : <p>Recordings are kept for {inWords(now)}.</p>}
      {hours < now && <p class="note warn">Recordings older than {inWords(hours)} are deleted as soon as you save.</p>}
      {mayMove && tier && (
        <div class="field">
          <label htmlFor={id}>Storage tier</label>
          <select id={id} class="input" value={where} onChange={(e) => setWhere(e.currentTarget.value)}>
            <option value="HOT">Hot: on the disk</option>
            <option value="WARM">Warm: in the object store, where there is one</option>
          </select>
        </div>
      )}
      {(mayKeep || mayMove) && <div><Button type="submit" kind="primary" label={busy ? 'Saving…' : 'Save'} disabled={busy || !changed} /></div>}
    </form>
  );
}

async function moveTo(name: string, tier: string, version: string | undefined) {
  const { StreamInfo } = version ? { StreamInfo: { Version: version } }
    : await kinesis.send(new DescribeStreamCommand({ StreamName: name }));
  await kinesis.send(new UpdateStreamStorageConfigurationCommand({
    StreamName: name, CurrentVersion: StreamInfo!.Version,
    StreamStorageConfiguration: { DefaultStorageTier: tier as 'HOT' | 'WARM' },
  }));
}
