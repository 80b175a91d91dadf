import { DeleteStreamCommand } from '@aws-sdk/client-kinesis-video';
import type { StreamInfo } from '@aws-sdk/client-kinesis-video';
import { useState } from 'preact/hooks';
import { kinesis } from '../../api/clients';
import { go, href } from '../../router';
import { Button } from '../../ui/button';
import { Dialog } from '../../ui/dialog';
import { Field } from '../../ui/field';
import { say } from '../../ui/toast';
import { useSubmit } from '../../ui/submit';

/** Deletes a stream once its name is typed. */
export function DeleteStream({ info }: { info: StreamInfo }) {
  const [asking, setAsking] = useState(false);
  return (
    <div>
      <Button label="Delete the stream" icon="trash" kind="danger" onClick={() => setAsking(true)} />
      {asking && <Ask info={info} onClose={() => setAsking(false)} />}
    </div>
  );
}

function Ask({ info, onClose }: { info: StreamInfo; onClose: () => void }) {
  const [typed, setTyped] = useState('');
  const { wrong, busy, run } = useSubmit();
  const name = info.StreamName!;

  const submit = (event: Event) => {
    event.preventDefault();
    if (typed !== name) return;
    void run(async () => {
      await kinesis.send(new DeleteStreamCommand({ StreamARN: info.StreamARN, CurrentVersion: info.Version }));
      say(`${name} was deleted.`);
      go(href(['streams']));
    });
  };

  return (
    <Dialog title={`Delete ${name}?`} onClose={onClose}>
      <form id="delete-stream" class="stack" onSubmit={submit}>
        {wrong && <p class="note bad" role="alert">{wrong}</p>}
        <p>All its recordings go at once. Nobody can bring them back, and its camera is refused from then on.</p>
        <Field label={`Type ${name} to delete it`} value={typed} onInput={(e) => setTyped(e.currentTarget.value)} autocomplete="off" />
      </form>
      <footer>
        <Button label="Cancel" onClick={onClose} />
        <button class="button danger primary" type="submit" form="delete-stream" disabled={busy || typed !== name}>Delete for ever</button>
      </footer>
    </Dialog>
  );
}
