import { useState } from 'preact/hooks';
import { session, signIn } from '../api/session';
import { words } from '../api/errors';
import { awaySince } from '../api/transport';
import { Brand } from '../ui/brand';
import { Button } from '../ui/button';
import { Field } from '../ui/field';

/** Takes a key, which is exchanged for temporary credentials and then forgotten. */
export function SignIn() {
  const now = session.value;
  const [key, setKey] = useState('');
  const [secret, setSecret] = useState('');
  const [keep, setKeep] = useState(false);
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState(now.state === 'out' ? now.reason : '');

  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setWrong('');
    try {
      await signIn(key.trim(), secret.trim(), keep);
    } catch (error) {
      setWrong(words(error));
      setBusy(false);
    }
  };

  return (
    <main class="center">
      <form class="sign-in" onSubmit={submit}>
        <h1 class="brand"><Brand /></h1>
        <div class="card stack">
          {wrong && <p class="note bad" role="alert">{wrong}</p>}
          {awaySince.value !== null && <p class="note warn" role="status">The server cannot be reached. Trying again…</p>}
          <Field label="Access key ID" name="username" autocomplete="username"
            required value={key} onInput={(e) => setKey(e.currentTarget.value)} />
          <Field label="Secret access key" name="password" type="password" autocomplete="current-password" required
            value={secret} onInput={(e) => setSecret(e.currentTarget.value)} />
          <label class="check">
            <input type="checkbox" checked={keep} onChange={(e) => setKeep(e.currentTarget.checked)} />
            <span>Stay signed in for this tab
              <span class="small soft"> – keeps temporary credentials in it, so that a reload does not ask again</span>
            </span>
          </label>
          <Button type="submit" kind="primary" label={busy ? 'Signing in…' : 'Sign in'} disabled={busy} />
        </div>
        <p class="small soft">
          The key is exchanged for temporary credentials at once and not kept. Or run <code>weir open</code> where a key is
          configured: it opens a browser that is signed in.
        </p>
      </form>
    </main>
  );
}
