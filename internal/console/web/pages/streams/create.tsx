import { CreateStreamCommand } from '@aws-sdk/client-kinesis-video';
import { useState } from 'preact/hooks';
import { kinesis } from '../../api/clients';
import { go, href } from '../../router';
import { Button } from '../../ui/button';
import { Dialog } from '../../ui/dialog';
import { Field } from '../../ui/field';
import { useSubmit } from '../../ui/submit';
import { Retention } from './retention';
import { parseTags } from './tags';

/** Makes a stream and goes where the camera is connected. */
export function CreateStream({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState('');
  const [hours, setHours] = useState(24 * 30);
  const [tags, setTags] = useState('');
  const { wrong, busy, run } = useSubmit();

  const submit = (event: Event) => {
    event.preventDefault();
    void run(async () => {
      const wanted = parseTags(tags);
      await kinesis.send(new CreateStreamCommand({
        StreamName: name, DataRetentionInHours: hours, ...(Object.keys(wanted).length > 0 && { Tags: wanted }),
      }));
      go(href(['streams', name, 'settings']));
    });
  };

  return (
    <Dialog title="New stream" onClose={onClose}>
      <form id="create-stream" class="stack" onSubmit={submit}>
        {wrong && <p class="note bad" role="alert">{wrong}</p>}
        <Field label="Name" required maxLength={256} pattern="[a-zA-Z0-9_.\-]+" value={name} onInput={(e) => setName(e.currentTarget.value)}
          hint="Letters, digits, hyphen, underscore and dot, such as front-door" />
        <Retention hours={hours} onChange={setHours} />
        <Field label="Tags" value={tags} onInput={(e) => setTags(e.currentTarget.value)} placeholder="site=north, floor=2"
          hint="To find streams by, and for policies" />
      </form>
      <footer>
        <Button label="Cancel" onClick={onClose} />
        <button class="button primary" type="submit" form="create-stream" disabled={busy}>{busy ? 'Making it…' : 'Make the stream'}</button>
      </footer>
    </Dialog>
  );
}
