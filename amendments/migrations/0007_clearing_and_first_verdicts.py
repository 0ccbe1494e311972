import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('amendments', '0006_queue_indexes'),
        ('constitution', '0005_version_by_digest'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Clearance',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('ordered_at', models.DateTimeField(auto_now_add=True)),
                ('reason', models.TextField()),
                ('total', models.PositiveIntegerField(help_text='Open when it was ordered.')),
                ('rejected', models.PositiveIntegerField(default=0)),
                ('ended_at', models.DateTimeField(help_text='When it was done, or stopped before that.', null=True)),
            ],
        ),
        migrations.AddField(
            model_name='review',
            name='first_verdict',
            field=models.CharField(blank=True, help_text='Before any talk with the others, which agreement is measured on.', max_length=10),
        ),
        # What was said before this was written down counts as said first.
        migrations.RunSQL("UPDATE amendments_review SET first_verdict = verdict", migrations.RunSQL.noop),
        pgtrigger.migrations.AddTrigger(
            model_name='review',
            trigger=pgtrigger.compiler.Trigger(name='first_verdict_stays', sql=pgtrigger.compiler.UpsertTriggerSql(func="\n                    IF TG_OP = 'INSERT' OR OLD.settles_at > clock_timestamp() THEN\n                        NEW.first_verdict = NEW.verdict;\n                    ELSE\n                        NEW.first_verdict = OLD.first_verdict;\n                    END IF;\n                    RETURN NEW;\n                ", hash='3cbe7c3499725d5476e54decde8cf3026079cba2', operation='INSERT OR UPDATE', pgid='pgtrigger_first_verdict_stays_0a1b4', table='amendments_review', when='BEFORE')),
        ),
        migrations.AddField(
            model_name='clearance',
            name='ordered_by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='clearance',
            name='producer',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='clearances', to='amendments.producer'),
        ),
        migrations.AddField(
            model_name='amendment',
            name='cleared_in',
            field=models.ForeignKey(db_index=False, help_text='Rejected together with others of its producer, not read by itself.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='amendments.clearance'),
        ),
        migrations.AddConstraint(
            model_name='clearance',
            constraint=models.UniqueConstraint(condition=models.Q(('ended_at', None)), fields=('producer',), name='clearance_one_at_a_time'),
        ),
        migrations.AddConstraint(
            model_name='clearance',
            constraint=models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='clearance_has_a_reason'),
        ),
    ]
