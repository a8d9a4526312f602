import pytest

from inference.phantom import PhantomConfig, PhantomPatient, generate_patient

# Chosen for their truths with seed 7: see test_generation for what is asked of them.
WITH_LESION, LESION_FREE, MULTILEVEL = 0, 5, 2
CONFIG = PhantomConfig()


@pytest.fixture(scope="session")
def with_lesion() -> PhantomPatient:
    return generate_patient(WITH_LESION, seed=7, config=CONFIG)


@pytest.fixture(scope="session")
def multilevel() -> PhantomPatient:
    return generate_patient(MULTILEVEL, seed=7, config=CONFIG)


@pytest.fixture(scope="session")
def lesion_free() -> PhantomPatient:
    return generate_patient(LESION_FREE, seed=7, config=CONFIG)
