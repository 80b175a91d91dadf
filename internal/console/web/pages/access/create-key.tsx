import { useState } from 'preact/hooks';
import { weir } from '../../api/clients';
import { words } from '../../api/errors';
import { all } from '../../api/list';
import { useQuery } from '../../api/query';
import { Button } from '../../ui/button';
import { Code } from '../../ui/code';
import { Dialog } from '../../ui/dialog';
import { Field } from '../../ui/field';
import { useSubmit } from '../../ui/submit';

export interface KeyPair {
  UserName: string;
  AccessKeyId: string;
  SecretAccessKey: string;
}

/** Makes a user with a key. */
export function CreateKey({ onClose, onMade }: { onClose: () => void; onMade: (pair: KeyPair) => void }) {
  const policies = useQuery('policy names', (abort) => all<{ PolicyName: string }>('ListPolicies', 'PolicyInfoList', {}, abort));
  const [name, setName] = useState('');
  const [chosen, setChosen] = useState<string[]>([]);
  const { wrong, busy, run } = useSubmit();

  const submit = (event: Event) => {
    event.preventDefault();
    void run(async () => {
      onMade(await weir<KeyPair>('CreateKey', { UserName: name, ...(chosen.length > 0 && { Policies: chosen }) }));
    });
  };
  const toggle = (policy: string, on: boolean) => setChosen((all) => (on ? [...all, policy] : all.filter((p) => p !== policy)));

  return (
    <Dialog title="New key" onClose={onClose}>
      <form id="create-key" class="stack" onSubmit={submit}>
        {wrong && <p class="note bad" role="alert">{wrong}</p>}
        <Field label="User" required maxLength={64} pattern="[a-zA-Z0-9_+=,.@\-]+" value={name} onInput={(e) => setName(e.currentTarget.value)}
          hint="A camera, a program or a person, such as front-door" />
        <fieldset class="choices">
          <legend>It may do what these policies allow</legend>
          {policies.data?.map((p) => (
            <label key={p.PolicyName} class="check">
              <input type="checkbox" checked={chosen.includes(p.PolicyName)} onChange={(e) => toggle(p.PolicyName, e.currentTarget.checked)} />
              <span>{p.PolicyName}</span>
            </label>
          ))}
          {policies.error !== null && <p class="soft small">{words(policies.error)}</p>}
        </fieldset>
      </form>
      <footer>
        <Button label="Cancel" onClick={onClose} />
        <button class="button primary" type="submit" form="create-key" disabled={busy}>{busy ? 'Making it…' : 'Make the key'}</button>
      </footer>
    </Dialog>
  );
}

/** Shows a new key pair, the secret of which nobody is told again. */
export function NewKey({ pair, second, onClose }: { pair: KeyPair; second: boolean; onClose: () => void }) {
  const text = `[${pair.UserName}]\naws_access_key_id = ${pair.AccessKeyId}\naws_secret_access_key = ${pair.SecretAccessKey}`;
  return (
    <Dialog title={`The new key of ${pair.UserName}`} onClose={onClose}>
      <div class="stack">
        <p class="note warn">Copy it now. The secret is not shown again, here or anywhere else.</p>
        <Code label="the key pair" text={text} />
        {second && <p>The key before it still works. Disable it once whoever uses it has the new one.</p>}
        <p class="soft small">This is a section of <code>~/.aws/credentials</code>, which the AWS tools and cameras’ SDKs read.</p>
      </div>
      <footer><Button label="Done" kind="primary" onClick={onClose} /></footer>
    </Dialog>
  );
}
