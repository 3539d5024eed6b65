"""A value that cannot be read costs nobody else anything, and is told once."""

from tests.support.world import edit, world


def test_a_value_that_is_no_number_is_listed_once_and_the_rest_goes_on(tmp_path):
    with world(tmp_path, people=60) as scene:
        edit(
            scene.config / "fields.yaml",
            (
                "    person.title:            jobtitle",
                "    person.title:            jobtitle\n    person.visits:           city",
            ),
        )
        contact = scene.box.hubspot.ids("contacts")[0]
        for id in scene.box.hubspot.ids("contacts"):
            scene.box.hubspot.edit("contacts", id, {"city": "12"}, by="seed")
        scene.box.hubspot.edit("contacts", contact, {"city": "many"}, by="seed")
        first = scene.run()
        told = [p for p in first.problems if p.field == "person.visits"]
        assert [p.ref.id for p in told] == [contact]
        assert first.exit_code == 5
        assert first.writes > 0
        second = scene.run()
        assert (second.exit_code, second.writes, second.problems) == (0, 0, [])
