import obstore
from datarobot_mlops_async import AsyncSession


async def copy_image(store, key):
    """Copy the latest image into a bucket: copy_image(obstore.store.S3Store("images"), "pps.tar.gz")."""
    async with AsyncSession() as session:
        image = await session.pps_image.artifact()
        async with image.stream() as chunks:  # in order, verified at the end, in bounded memory
            await obstore.put_async(store, key, chunks, chunk_size=8 * 2**20, max_concurrency=4)
