import type { ButtonHTMLAttributes } from 'preact';
import { Icon } from './icon';
import type { IconName } from './icon';

interface Props extends Omit<ButtonHTMLAttributes<HTMLButtonElement>, 'icon' | 'label'> {
  /** What it does, in a word or two; the accessible name of a button that shows only an icon. */
  label: string;
  icon?: IconName;
  kind?: 'plain' | 'primary' | 'danger' | 'danger primary' | 'quiet';
  iconOnly?: boolean;
  /** Shows only the icon on a phone. */
  folds?: boolean;
}

export function Button({ label, icon, kind = 'plain', iconOnly = false, folds = false, type = 'button', ...rest }: Props) {
  return (
    <button {...rest} type={type} class={`button ${kind} ${iconOnly ? 'icon' : ''} ${folds ? 'folds' : ''}`}
      aria-label={iconOnly ? label : undefined} title={iconOnly || folds ? label : rest.title}>
      {icon && <Icon name={icon} />}
      {!iconOnly && <span>{label}</span>}
    </button>
  );
}
