from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from constitution.models import Constitution, Profile, Version
from constitution.profiles import base_of, newest_revision, text_of
from constitution.proofs import Proof, prove


class Command(BaseCommand):
    help = (
        "Prove of a version, over all contexts and all legal profiles, what must hold of it. "
        "Fails, with a context that breaks it, where a claim is refuted."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--constitution", metavar="SLUG", help="an imported one; without it the one at home")
        parser.add_argument("--number", type=int, help="of the version; without it the newest")
        parser.add_argument("--profile", metavar="SLUG", help="for this profile alone, on the base it stands on")

    def handle(self, *, constitution: str | None, number: int | None, profile: str | None, **options: Any) -> None:
        layer = _profile(profile)
        version = base_of(layer) if layer and not constitution and number is None else _version(constitution, number)
        proofs = prove(version.texts(), text_of(newest_revision(layer)) if layer else None)
        self.stdout.write(f"{version.constitution}, {version}{f', with {layer.slug}' if layer else ''}")
        for proof in proofs:
            self.stdout.write(_line(proof))
        failed = [proof for proof in proofs if not proof.holds]
        if failed:
            raise CommandError("\n".join(proof.sentence for proof in failed))


def _line(proof: Proof) -> str:
    result = "proved" if proof.holds else "refuted" if proof.is_finished else "unfinished"
    return f"{result:<10} {proof.seconds * 1000:>8.1f} ms {proof.n:>7} cases  {proof.claim}"


def _profile(slug: str | None) -> Profile | None:
    if slug is None:
        return None
    try:
        return Profile.objects.get(slug=slug)
    except Profile.DoesNotExist as error:
        raise CommandError(f"There is no profile named {slug}.") from error


def _version(slug: str | None, number: int | None) -> Version:
    try:
        constitution = Constitution.objects.get(slug=slug) if slug else Constitution.objects.get(is_home=True)
    except Constitution.DoesNotExist as error:
        raise CommandError(
            f"There is no constitution named {slug}." if slug else "Nothing is published yet."
        ) from error
    versions = constitution.versions.select_related("constitution")
    version = versions.filter(number=number).first() if number is not None else versions.newest()
    if version is None:
        raise CommandError(f"{constitution} has no version {number if number is not None else 'yet'}.")
    return version
